-- The key columns of a row of a relation. A column that was renamed since the trigger was made is
-- found by the relation's primary key, or else by an index that makes as many columns a key: its
-- columns take the places of those that are not there, in their order. Where there is none, they
-- stay as they are.
CREATE FUNCTION {schema}.pubsubpull_key_columns(relation oid, columns text[])
RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    gone text[] := ARRAY(SELECT c FROM unnest(columns) WITH ORDINALITY AS u(c, i)
                         WHERE NOT EXISTS (
                             SELECT
                             FROM pg_attribute a
                             WHERE a.attrelid = relation AND a.attname = c AND NOT a.attisdropped
                         )
                         ORDER BY i);
    stay integer := cardinality(columns) - cardinality(gone);
    others text[] := (
        SELECT array_agg(a.attname::text ORDER BY k.i) FILTER (WHERE a.attname <> ALL (columns))
        FROM pg_index x CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k(number, i)
             JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.number AND a.attnotnull
        WHERE x.indrelid = relation AND x.indisunique AND x.indisvalid AND x.indpred IS NULL
          AND k.i <= x.indnkeyatts AND x.indnkeyatts = cardinality(columns)
        GROUP BY x.indexrelid, x.indisprimary
        HAVING count(*) = cardinality(columns) AND count(*) FILTER (WHERE a.attname = ANY (columns)) = stay
        ORDER BY x.indisprimary DESC, x.indexrelid LIMIT 1);
BEGIN
    IF gone = '{{}}' OR others IS NULL THEN
        RETURN columns;
    END IF;
    FOR i IN 1 .. cardinality(gone) LOOP
        columns := array_replace(columns, gone[i], others[i]);
    END LOOP;
    RETURN columns;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_key_columns(oid, text[]) FROM PUBLIC;
