-- Return true if the log has values stored apart from their rows. If it has none, each row takes
-- two kilobytes at most.
SELECT coalesce(max(pg_relation_size(c.reltoastrelid)), 0) > 0
FROM pubsubpull_partitions() AS p JOIN pg_class c ON c.oid = p.relation
