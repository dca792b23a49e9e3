-- Return the log's changes in the form of tasks.
SELECT json_build_object('version', id, 'model', model, 'key', key, 'op', op, 'at', at, 'old', old, 'new', new)::text
FROM pubsubpull_change ORDER BY id LIMIT {count}
