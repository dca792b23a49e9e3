-- The first and the last of so many changes of the log at or above an id, by id; NULL where there
-- are none.
SELECT min(id), max(id)
FROM (SELECT id FROM pubsubpull_change WHERE id >= {low} ORDER BY id LIMIT {most}) AS part
