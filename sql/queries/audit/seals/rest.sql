-- Return how many imported changes exist beside {sealed} sealed ones, and how many changes were
-- partly erased.
SELECT (SELECT count(*) FROM pubsubpull_change WHERE id < 0) - {sealed},
    (SELECT count(DISTINCT change_id) FROM pubsubpull_erasure)
