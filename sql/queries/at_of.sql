-- The first change from an id on, and when it was made.
SELECT id, at FROM pubsubpull_change WHERE id >= {id} ORDER BY id LIMIT 1
