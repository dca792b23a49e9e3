-- Return the rows of some objects before their first captured change, or their present rows: by key
-- and column, as JSON.
-- An object that is absent now, or was absent when capture began, has no row. {parts} are the keys'
-- columns, by object.
SELECT k.key, d.key, d.value::text
FROM unnest({keys}::text[], {parts}) AS k (key, {names}) LEFT JOIN LATERAL (
    SELECT c.op, c.old
    FROM pubsubpull_change c
    WHERE c.key::varchar(255) = k.key::varchar(255) AND c.key = k.key AND c.model = {label} AND c.id > 0
    ORDER BY c.id
    LIMIT 1) AS f ON true
CROSS JOIN LATERAL jsonb_each(
    CASE WHEN f.op IS NOT NULL THEN f.old ELSE (SELECT to_jsonb(t.*) FROM {table} AS t WHERE {match}) END
) AS d
WHERE d.key = ANY({columns}::text[])
