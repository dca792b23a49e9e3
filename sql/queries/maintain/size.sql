-- Return about how many changes the log holds, as PostgreSQL last counted them.
SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::double precision
FROM pubsubpull_partitions() AS p
JOIN pg_class c ON c.oid = p.relation
