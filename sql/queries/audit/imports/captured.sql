-- Return the time of a model's first captured change; NULL if there is none.
SELECT at FROM pubsubpull_change WHERE model = {label} AND id > 0 ORDER BY id LIMIT 1
