-- Return the log's partitions in the order of their ids, from low up to, but without, high. The
-- default partition comes last and begins at the end of the others.
-- The partition of the imported past is left out: it is not captured, followed or dropped as a
-- whole.
CREATE FUNCTION {schema}.pubsubpull_partitions(
    OUT name text, OUT low bigint, OUT high bigint, OUT spare boolean, OUT relation regclass
) RETURNS SETOF record LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH parts AS (
        SELECT c.relname::text, c.oid::regclass AS relation, b.bound = 'DEFAULT' AS spare,
            (regexp_match(b.bound, 'FROM \(''?(\d+)''?\)'))[1]::bigint AS low,
            (regexp_match(b.bound, 'TO \(''?(\d+)''?\)'))[1]::bigint AS high
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) AS b
        WHERE i.inhparent = to_regclass('{schema}.pubsubpull_change')
            AND b.bound NOT LIKE 'FOR VALUES FROM (MINVALUE)%'
    )
    SELECT relname, coalesce(low, max(high) OVER (), 1), coalesce(high, 9223372036854775807), spare, relation
    FROM parts ORDER BY spare, low
$$;
