-- Return the columns that hold hstore at any depth of arrays, domains and composites, out of
-- columns with the types `kinds`: an object with the type's number by the column's name.
CREATE FUNCTION {schema}.pubsubpull_hstores(columns text[], kinds text[])
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (
        WITH RECURSIVE types (name, top, type) AS (
            SELECT u.name, u.kind::regtype::oid, u.kind::regtype::oid
            FROM unnest(columns, kinds) AS u(name, kind)
            UNION
            SELECT t.name, t.top, part.type FROM types t JOIN pg_type y ON y.oid = t.type
                CROSS JOIN LATERAL (
                    SELECT y.typelem AS type WHERE y.typelem <> 0
                    UNION ALL SELECT y.typbasetype WHERE y.typbasetype <> 0
                    UNION ALL
                    SELECT a.atttypid
                    FROM pg_attribute a
                    WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                ) AS part
        )
        SELECT coalesce(jsonb_object_agg(t.name, t.top::bigint), '{{}}')
        FROM types t JOIN pg_type y ON y.oid = t.type AND y.typname = 'hstore'
    );
END
$$;
