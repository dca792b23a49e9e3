-- Return about how many rows a table has, and keys that split it into ranges of about equal size,
-- from a sample of its pages.
-- Like the planner, estimate the rows from the current number of pages and the rows a page had when
-- last counted.
WITH size AS (
    SELECT coalesce(sum(CASE
        WHEN c.reltuples >= 0 AND c.relpages > 0 THEN p.pages * c.reltuples / c.relpages
        ELSE p.pages * 40
    END), 0)::bigint AS rows
    FROM pg_class c
    CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::integer AS pages) AS p
    WHERE c.oid = {relation}::regclass
        OR c.oid IN (SELECT relid FROM pg_partition_tree({relation}) WHERE isleaf)
),
share AS (SELECT least(100, greatest(0.1, 5000000.0 / greatest(rows, 1))) AS percent FROM size),
-- MATERIALIZED: every reader must see the same sample, with the same numbering.
sample AS MATERIALIZED (
    SELECT pubsubpull_keys AS key, row_number() OVER (ORDER BY {ordered}) AS place, count(*) OVER () AS n
    FROM (
        SELECT {names} FROM {table} TABLESAMPLE SYSTEM ((SELECT percent FROM share)) REPEATABLE (0)
    ) AS pubsubpull_keys
),
about AS (
    SELECT CASE WHEN percent = 100 THEN (SELECT count(*) FROM sample) ELSE rows END AS rows FROM size, share
),
wanted AS (SELECT {parts} AS parts FROM about)
SELECT (SELECT rows FROM about),
    coalesce((
        SELECT array_agg(pubsubpull_key(to_jsonb(key), {columns}::text[]) ORDER BY place)
        FROM sample, wanted
        WHERE n >= parts AND place < n AND place % (n / parts) = 0 AND place / (n / parts) < parts
    ), '{{}}')
