-- Return the key of the first row after another. Nothing but the key is read: the rest of the row
-- may be what PostgreSQL cannot give.
SELECT pubsubpull_key(to_jsonb(pubsubpull_keys), {columns}::text[])
FROM (
    SELECT {names} FROM {table} WHERE {beyond} ORDER BY {ordered} LIMIT 1
) AS pubsubpull_keys
