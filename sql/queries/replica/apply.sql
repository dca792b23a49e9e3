-- Apply a page to a replica: the last change of each row. PostgreSQL reads each value by the input
-- of the local column's own type.
-- Deleted rows, and rows outside the replica's filter, go first (or are marked, or kept, as the
-- replica declares). A unique value is then free for the row that took it over.
WITH latest AS MATERIALIZED (
    SELECT DISTINCT ON (key) n, version, key, op, data FROM {page}
    WHERE model = {source} AND n > {after} AND n <= {upto} AND op NOT IN ('truncate', 'uncaptured')
    ORDER BY key, n DESC, version DESC
),
page AS MATERIALIZED (
    SELECT l.*, l.op <> 'delete' AND ({where}) AS keep, e.data AS extra FROM latest l {extra}
),
gone AS (
    {removing} page p CROSS JOIN LATERAL jsonb_to_record(p.data) AS r({key_columns})
    WHERE NOT p.keep AND {match} AND {removable} RETURNING 1
)
INSERT INTO {target} AS t ({names})
SELECT {values}
-- Reading the count runs all deletes before the first insert.
FROM page p CROSS JOIN (SELECT count(*) FROM gone) AS first {records}
WHERE p.keep
ON CONFLICT ({key}) {update}
