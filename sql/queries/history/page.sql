-- A page of history: of at most so many changes that an index gives (seen), in that order, those
-- that fit, newest first; and the last one looked at, whether it fits or not: from there the next
-- page goes on. What is seen comes from a query of its own order and limit, and is read only until
-- the page is full.
WITH kept AS MATERIALIZED (
    SELECT place, id, fits, n
    FROM (SELECT place, id, fits, row_number() OVER () AS n FROM ({seen}) AS seen) AS looked
    WHERE fits OR n = {most} LIMIT {limit}
)
SELECT kept.n, kept.fits, c.id, c.op::text, c.at, c.model, c.key, ({old})::text, ({new})::text, c.request_id,
    (
    SELECT to_json(r) FROM pubsubpull_request r WHERE r.id = c.request_id ORDER BY r.xid LIMIT 1)
FROM kept JOIN pubsubpull_change c ON c.id = kept.id
ORDER BY kept.place
