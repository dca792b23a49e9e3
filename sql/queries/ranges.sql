-- Keys that split a table into ranges of about as many rows each, from a sample of its pages, and about how many rows there are in all.
WITH size AS (SELECT greatest(reltuples, 0)::bigint AS rows FROM pg_class WHERE oid = {relation}::regclass),
sample AS MATERIALIZED (
    SELECT pubsubpull_key(to_jsonb(t.*), {columns}::text[]) AS key, row_number() OVER (ORDER BY {names}) AS place, count(*) OVER () AS n
    FROM {table} AS t TABLESAMPLE SYSTEM ((SELECT least(100, greatest(0.1, 2000000.0 / greatest(rows, 1))) FROM size)) REPEATABLE (0)
)
SELECT (SELECT greatest(rows, (SELECT count(*) FROM sample)) FROM size),
       coalesce((SELECT array_agg(key ORDER BY place) FROM sample
                 WHERE n >= {parts} AND place < n AND place % (n / {parts}) = 0 AND place / (n / {parts}) < {parts}), '{{}}')
