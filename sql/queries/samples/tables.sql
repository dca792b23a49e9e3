-- Return for some tables, each by its schema and name, the oid, the size in bytes with indexes and
-- partitions, and the rows written so far.
SELECT w.nsp, w.rel, c.oid::text,
    (
        SELECT sum(pg_total_relation_size(r.oid))
        FROM (SELECT c.oid UNION SELECT relid::oid FROM pg_partition_tree(c.oid)) AS r
    )::bigint,
    ({writes})
FROM unnest({schemas}::text[], {tables}::text[]) AS w (nsp, rel)
JOIN pg_namespace n ON n.nspname = w.nsp JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.rel
