-- When the first change of a model was captured; NULL where none was.
SELECT at FROM pubsubpull_change WHERE model = {label} AND id > 0 ORDER BY id LIMIT 1
