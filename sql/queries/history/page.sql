-- Return a page of history, newest first: the fitting changes of a limited number that an index
-- returns in order (seen). Return also the last change read, fitting or not: the next page goes on
-- from it. `seen` has an order and a limit of its own, and is only read until the page is full.
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
