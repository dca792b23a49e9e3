-- Return a page by model: the number of changes, the id of the last, whether more would have been
-- too large, the names of the columns, and the changes by id with commas between. A change has the
-- values of these columns after it, or before it for a delete.
-- The columns are those of any row of the model, in jsonb's order, which is the order of $.*; a row
-- with other columns comes with its names. A scan of the page returns it in its order. The page is
-- scanned once for each model, since sorting all the built changes took longer than building them.
WITH page AS MATERIALIZED (
    SELECT id, model, key, op, CASE WHEN op IN ('D', 'X') THEN old ELSE new END AS data, {cut} AS cut
    FROM ({window}) AS w
),
shape AS MATERIALIZED (
    SELECT m.model, coalesce((
        SELECT ARRAY(SELECT jsonb_object_keys(p.data))
        FROM page p
        WHERE p.model = m.model AND p.data IS NOT NULL AND p.op <> 'X'
        LIMIT 1), '{{}}') AS columns
    FROM (SELECT DISTINCT model FROM page) AS m
)
SELECT s.model, p.count, p.last, (SELECT bool_or(cut) FROM page), to_json(s.columns)::text, p.items
FROM shape s CROSS JOIN LATERAL (
    SELECT count(*), max(id) AS last,
        string_agg(
            concat(
                '[', id, ',', coalesce(to_json(key)::text, 'null'), {op},
                CASE
                    WHEN data IS NULL THEN 'null'
                    WHEN data ?& s.columns AND jsonb_array_length(row) = cardinality(s.columns) THEN row
                    ELSE data
                END,
                ']'
            ),
            ','
        ) AS items
    FROM (
        SELECT id, key, op, data, jsonb_path_query_array(data, '$.*') AS row
        FROM page
        WHERE model = s.model
        OFFSET 0
    ) AS rows
) AS p
