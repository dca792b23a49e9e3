-- How many imported changes there are beside {sealed} for which seals stand, and of how many
-- changes something was erased.
SELECT (SELECT count(*) FROM pubsubpull_change WHERE id < 0) - {sealed},
    (SELECT count(DISTINCT change_id) FROM pubsubpull_erasure)
