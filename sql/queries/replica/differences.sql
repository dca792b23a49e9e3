-- Return how a replica's rows differ from the staged ones: the writes that applying them would
-- make, and their keys.
WITH latest AS MATERIALIZED (
    SELECT n, version, key, op, data
    FROM pg_temp.pubsubpull_page
    WHERE model = {source} AND op NOT IN ('truncate', 'uncaptured')
),
page AS MATERIALIZED (
    SELECT l.*, l.op <> 'delete' AND ({where}) AS keep, e.data AS extra FROM latest l {extra}
)
SELECT p.key, CASE WHEN NOT p.keep THEN 'extra' WHEN t.ctid IS NULL THEN 'missing' ELSE 'different' END
FROM page p {records}
CROSS JOIN LATERAL jsonb_to_record(p.data) AS r({key_columns})
LEFT JOIN {target} t ON {match}
WHERE CASE WHEN t.ctid IS NULL THEN p.keep WHEN NOT p.keep THEN {removable} ELSE {differ} END
ORDER BY p.n
