-- A page of history: of at most so many changes that an index gives (seen), in that order, those that fit, newest first; and, where these are fewer
-- than asked for, how far was looked. What is seen comes from a query of its own order and limit, so that no more is read than the page needs.
WITH kept AS MATERIALIZED (SELECT place, id FROM ({seen}) AS seen WHERE fits LIMIT {limit}),
looked AS (
    SELECT count(*) AS n, (array_agg(id ORDER BY place DESC))[1] AS last FROM ({seen}) AS seen WHERE (SELECT count(*) FROM kept) < {limit}
)
SELECT looked.n, looked.last, c.id, c.op::text, c.at, c.model, c.key, c.old::text, c.new::text, c.request_id, (
    SELECT to_json(r) FROM pubsubpull_request r WHERE r.id = c.request_id ORDER BY r.xid LIMIT 1)
FROM looked LEFT JOIN kept ON true LEFT JOIN pubsubpull_change c ON c.id = kept.id
ORDER BY kept.place
