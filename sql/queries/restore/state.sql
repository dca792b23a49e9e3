-- Return the text of the state after a version: without columns unknown to the log, with the last
-- values of the columns to keep, and with the given values. It stays PostgreSQL's own text, since
-- Python would round a number of many digits.
SELECT c.op::text,
    (c.new - {hidden}::text[] - {keep}::text[] || coalesce(last.kept, '{{}}') || {given}::jsonb)::text
FROM pubsubpull_change c CROSS JOIN LATERAL (
    SELECT (
        SELECT jsonb_object_agg(k.key, k.value)
        FROM jsonb_each(coalesce(l.new, l.old) - {hidden}::text[]) AS k
        WHERE k.key = ANY ({keep}::text[])
    ) AS kept
    FROM pubsubpull_change l
    WHERE l.model = {model} AND l.key::varchar(255) = {key}::varchar(255) AND l.key = {key}
    ORDER BY l.id DESC
    LIMIT 1
) AS last
WHERE c.id = {version} AND c.model = {model} AND c.key = {key}
