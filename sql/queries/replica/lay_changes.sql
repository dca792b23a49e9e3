-- Lays out a page of changes, behind what lies there: of each change the row after it, or of a delete the row before.
WITH laid AS (
    INSERT INTO pg_temp.pubsubpull_page (n, version, model, key, op, data)
    SELECT %(base)s::bigint + n, version, model, key, op, CASE WHEN op = 'delete' THEN old ELSE new END
    FROM ROWS FROM (jsonb_to_recordset(%(body)s::jsonb -> 'items') AS (version bigint, model text, key text, op text, old jsonb, new jsonb))
         WITH ORDINALITY AS c(version, model, key, op, old, new, n)
    WHERE model = ANY (%(models)s::text[]) AND NOT (version = ANY (%(left_out)s::bigint[]))
    RETURNING 1
)
SELECT count(*) FROM laid
