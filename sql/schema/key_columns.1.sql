-- The key columns of a row of a relation. A column that was renamed since the trigger was made is found by the relation's primary key, whose columns
-- take the places of those that are not there, in their order; where that has none, they stay as they are.
CREATE FUNCTION {schema}.pubsubpull_key_columns(relation oid, columns text[]) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    gone text[] := ARRAY(SELECT c FROM unnest(columns) WITH ORDINALITY AS u(c, i)
                         WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = c AND NOT a.attisdropped) ORDER BY i);
    others text[] := ARRAY(SELECT a.attname::text FROM pg_index x CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k(number, i)
                           JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.number
                           WHERE x.indrelid = relation AND x.indisprimary AND a.attname <> ALL (columns) ORDER BY k.i);
BEGIN
    IF cardinality(gone) <> cardinality(others) THEN
        RETURN columns;
    END IF;
    FOR i IN 1 .. cardinality(gone) LOOP
        columns := array_replace(columns, gone[i], others[i]);
    END LOOP;
    RETURN columns;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_key_columns(oid, text[]) FROM PUBLIC;
