-- Stage rows of the source, and the keys of rows that it lacks as deletes.
INSERT INTO pg_temp.pubsubpull_page (n, version, model, key, op, data)
SELECT n, coalesce(version, 0), {source}, key, op, data
FROM ROWS FROM (
    jsonb_to_recordset({body}::jsonb -> 'items') AS (version bigint, key text, data jsonb)
) WITH ORDINALITY AS i(version, key, data, n)
     CROSS JOIN (VALUES ('insert')) AS o(op)
WHERE key = ANY ({quiet}::text[])
UNION ALL
SELECT (1::bigint << 32) + n, 0, {source}, key, 'delete', data
FROM ROWS FROM (
    jsonb_to_recordset({gone}::jsonb) AS (key text, data jsonb)
) WITH ORDINALITY AS g(key, data, n)
