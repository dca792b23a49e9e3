-- Return the columns of a relation that hold json at any depth of their type: in an array, a
-- domain, or a composite. json may hold values that jsonb cannot.
CREATE FUNCTION {schema}.pubsubpull_guarded_columns(relation oid) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        WITH RECURSIVE types (name, type) AS (
            SELECT a.attname::text, a.atttypid
            FROM pg_attribute a
            WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
            UNION
            SELECT t.name, part.type FROM types t JOIN pg_type y ON y.oid = t.type CROSS JOIN LATERAL (
                SELECT y.typelem AS type WHERE y.typelem <> 0
                UNION ALL SELECT y.typbasetype WHERE y.typbasetype <> 0
                UNION ALL SELECT a.atttypid FROM pg_attribute a
                          WHERE y.typtype = 'c'
                              AND a.attrelid = y.typrelid
                              AND a.attnum > 0
                              AND NOT a.attisdropped
            ) AS part
        )
        SELECT DISTINCT name FROM types WHERE type = 'json'::regtype ORDER BY name);
END
$$;
