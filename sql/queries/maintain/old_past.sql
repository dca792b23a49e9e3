-- How many imported changes are of before a moment.
SELECT count(*) FROM pubsubpull_change WHERE id < least(0, pubsubpull_past_id(to_timestamp({before})))
