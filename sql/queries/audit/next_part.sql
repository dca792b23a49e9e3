-- Return the first and the last of the next changes of the log at or above an id, up to a limit, by
-- id; NULL if there are none.
SELECT min(id), max(id)
FROM (SELECT id FROM pubsubpull_change WHERE id >= {low} ORDER BY id LIMIT {most}) AS part
