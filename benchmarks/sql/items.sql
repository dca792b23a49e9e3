-- The log's changes as a service would put them into tasks.
SELECT json_build_object('version', id, 'model', model, 'key', key, 'op', op, 'at', at, 'old', old, 'new', new)::text
FROM pubsubpull_change ORDER BY id LIMIT {count}
