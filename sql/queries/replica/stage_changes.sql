-- Stage a page of changes after the staged ones: of each change the row after it, or for a delete
-- the row before. Return for each model the ordinal of its last truncate (0 if there is none), how
-- many rows it has, whether each of them has all the wanted columns, and whether capture was off.
WITH staged AS (
    INSERT INTO pg_temp.pubsubpull_page (n, version, model, key, op, data)
    SELECT %(base)s::bigint + n, version, model, key, op, CASE WHEN op = 'delete' THEN old ELSE new END
    FROM ROWS FROM (
        jsonb_to_recordset(%(body)s::jsonb -> 'items') AS (
            version bigint, model text, key text, op text, old jsonb, new jsonb
        )
    )
         WITH ORDINALITY AS c(version, model, key, op, old, new, n)
    WHERE model = ANY (%(models)s::text[]) AND NOT (version = ANY (%(left_out)s::bigint[]))
    RETURNING n, model, op, data
),
wanted AS MATERIALIZED (
    SELECT w.key AS model, ARRAY(SELECT jsonb_array_elements_text(w.value)) AS columns
    FROM jsonb_each(%(wanted)s::jsonb) AS w
)
SELECT model, coalesce(max(n) FILTER (WHERE op = 'truncate'), 0),
    count(*) FILTER (WHERE op IN ('insert', 'update')),
       coalesce(bool_and(data ?& columns) FILTER (WHERE op IN ('insert', 'update')), true),
       coalesce(bool_or(op = 'uncaptured'), false)
FROM staged JOIN wanted USING (model) GROUP BY model
