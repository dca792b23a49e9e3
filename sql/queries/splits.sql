-- Keys that split a table into ranges of about so many rows each, from a sample of its pages, in the order that hashes are taken in.
WITH size AS (
    SELECT greatest(c.reltuples, pg_relation_size(c.oid) / 200.0)::bigint AS rows FROM pg_class c WHERE c.oid = {relation}::regclass
),
sample AS MATERIALIZED (
    SELECT {names}, row_number() OVER (ORDER BY {ordered}) AS place, count(*) OVER () AS n
    FROM {table} TABLESAMPLE SYSTEM ((SELECT least(100, greatest(0.1, 5000000.0 / greatest(rows, 1))) FROM size)) REPEATABLE (0)
),
wanted AS (SELECT least({most}, greatest(1, rows / {each})) AS parts FROM size)
SELECT coalesce((SELECT array_agg(pubsubpull_key(to_jsonb(s.*) - '{{place,n}}'::text[], {columns}::text[]) ORDER BY place)
                 FROM sample s, wanted WHERE n >= parts AND place < n AND place % (n / parts) = 0 AND place / (n / parts) < parts), '{{}}')
