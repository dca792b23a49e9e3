-- Return how many rows of the table c, or of its partitions, have ever been written, as PostgreSQL
-- counts them.
SELECT coalesce(
    sum(
        pg_stat_get_tuples_inserted(r.oid) + pg_stat_get_tuples_updated(r.oid)
            + pg_stat_get_tuples_deleted(r.oid)
    ),
    0
)::bigint
FROM (SELECT c.oid UNION SELECT relid::oid FROM pg_partition_tree(c.oid)) AS r
