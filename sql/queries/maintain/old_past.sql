-- Return how many imported changes are older than a moment.
SELECT count(*) FROM pubsubpull_change WHERE id < least(0, pubsubpull_past_id(to_timestamp({before})))
