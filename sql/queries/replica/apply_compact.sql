-- Apply a model's part of a compact page to a replica, as apply.sql does staged changes, but in a
-- single statement: each value is read by its index in the row. Return how many changes are of a
-- kind that this statement cannot apply. If there are any, the caller must roll back.
WITH items AS MATERIALIZED (
    SELECT (e ->> 0)::bigint AS version, e ->> 1 AS key, e ->> 2 AS op, e -> 3 AS data
    FROM jsonb_array_elements(%(items)s::jsonb) AS e
),
latest AS MATERIALIZED (
    SELECT DISTINCT ON (key COLLATE "C") version, op, data FROM items ORDER BY key COLLATE "C", version DESC
),
page AS (SELECT l.*, l.op <> 'delete' AND ({where}) AS keep FROM latest l),
gone AS ({removing} page p {key_records} WHERE NOT p.keep AND {match} AND {removable} RETURNING 1),
put AS (
    INSERT INTO {target} AS t ({names})
    SELECT {values}
    -- Reading the count runs all deletes before the first insert.
    FROM page p CROSS JOIN (SELECT count(*) FROM gone) AS first {records}
    WHERE p.keep
    ON CONFLICT ({key}) {update}
)
SELECT count(*) FROM items
WHERE (version IS NOT NULL AND key IS NOT NULL AND op IN ('insert', 'update', 'delete')
       AND CASE WHEN jsonb_typeof(data) = 'array' THEN jsonb_array_length(data) = {width} END) IS NOT TRUE
