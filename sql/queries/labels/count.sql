-- How many changes of a model the log has, and how many of them are sealed.
SELECT count(*), count(*) FILTER (WHERE id BETWEEN 1 AND coalesce((SELECT max(last_id) FROM pubsubpull_seal), 0))
FROM pubsubpull_change WHERE model = {label}
