-- A page of history: of at most so many changes that an index gives (seen), those that fit, newest first; and how far was looked.
WITH seen AS MATERIALIZED ({seen}),
kept AS (SELECT place, id FROM seen WHERE fits ORDER BY place LIMIT {limit}),
looked AS (SELECT count(*) AS n, (SELECT id FROM seen ORDER BY place DESC LIMIT 1) AS last FROM seen)
SELECT looked.n, looked.last, c.id, c.op::text, c.at, c.model, c.key, c.old::text, c.new::text, c.request_id, (
    SELECT to_json(r) FROM pubsubpull_request r WHERE r.id = c.request_id ORDER BY r.xid LIMIT 1)
FROM looked LEFT JOIN kept ON true LEFT JOIN pubsubpull_change c ON c.id = kept.id
ORDER BY kept.place
