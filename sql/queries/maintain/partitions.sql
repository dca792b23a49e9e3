-- Return the log's partitions, each with the time and the transaction of its newest change (NULL if
-- it is empty), its size in bytes, and whether it has any change. Transactions at or below
-- {restored} are of another cluster.
SELECT p.name, p.low, p.high, p.spare, extract(epoch FROM newest.at)::double precision,
    written.xid::text::bigint, size.bytes
FROM pubsubpull_partitions() AS p
LEFT JOIN LATERAL (
    SELECT at FROM pubsubpull_change WHERE id >= p.low AND id < p.high ORDER BY id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT xid
    FROM pubsubpull_change
    WHERE id >= p.low AND id < p.high AND id > {restored}
    ORDER BY xid DESC
    LIMIT 1) AS written ON true
CROSS JOIN LATERAL (SELECT coalesce(pg_total_relation_size(p.relation), 0) AS bytes) AS size
ORDER BY p.spare, p.low
