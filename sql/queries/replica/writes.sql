-- Return the result of the staged changes, row by row, for a function to write: the version,
-- whether the row exists, its key as the local columns have it, and its values. Values of a deleted
-- row are not read.
WITH latest AS MATERIALIZED (
    SELECT DISTINCT ON (key) n, version, key, op, data FROM {page}
    WHERE model = {source} AND n > {after} AND n <= {upto} AND op NOT IN ('truncate', 'uncaptured')
    ORDER BY key, n DESC, version DESC
),
page AS MATERIALIZED (
    SELECT l.*, l.op <> 'delete' AND ({where}) AS keep, e.data AS extra FROM latest l {extra}
)
SELECT p.version, p.keep, {keys}, {values}
FROM page p CROSS JOIN LATERAL jsonb_to_record(p.data) AS r({key_columns}) {records}
ORDER BY p.n
