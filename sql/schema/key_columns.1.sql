-- Return the key columns of a row of a relation. `known` are the columns that the table had when
-- its trigger was made, as pubsubpull_left_out has them, or NULL.
-- A renamed key column is found by its number; the parts of a key keep their order under any names.
-- Numbers may not help: `known` is NULL, a dump restored the table, the column was dropped. Then
-- the columns of the primary key, or else of a unique index with as many columns, replace the
-- missing ones in their order. Without such an index the names stay as they are.
CREATE FUNCTION {schema}.pubsubpull_key_columns(relation oid, columns text[], known text[]) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    root oid := coalesce(pg_partition_root(relation), relation);
    numbered text[];
    gone text[];
    others text[];
BEGIN
    IF known IS NOT NULL THEN
        numbered := ARRAY(
            SELECT a.attname::text FROM unnest(columns) WITH ORDINALITY AS u(name, place)
                LEFT JOIN pg_attribute a
                    ON a.attrelid = root AND a.attnum = array_position(known, u.name) AND NOT a.attisdropped
            ORDER BY u.place);
        IF numbered = columns THEN
            RETURN columns;
        END IF;
        -- A dump leaves dropped columns out, so that later columns change numbers.
        IF array_position(numbered, NULL) IS NULL AND NOT EXISTS (
            SELECT FROM unnest(known) WITH ORDINALITY AS u(name, number)
                LEFT JOIN pg_attribute a ON a.attrelid = root AND a.attnum = u.number
            WHERE u.name = '' AND a.attisdropped IS NOT TRUE
        ) THEN
            RETURN numbered;
        END IF;
    END IF;
    gone := ARRAY(
        SELECT u.name FROM unnest(columns) WITH ORDINALITY AS u(name, place)
        WHERE NOT EXISTS (
            SELECT FROM pg_attribute a
            WHERE a.attrelid = relation AND a.attname = u.name AND NOT a.attisdropped)
        ORDER BY u.place);
    IF gone = '{{}}' THEN
        RETURN columns;
    END IF;
    others := (
        SELECT array_agg(a.attname::text ORDER BY k.i) FILTER (WHERE a.attname <> ALL (columns))
        FROM pg_index x CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k(number, i)
             JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.number AND a.attnotnull
        WHERE x.indrelid = relation AND x.indisunique AND x.indisvalid AND x.indpred IS NULL
          AND k.i <= x.indnkeyatts AND x.indnkeyatts = cardinality(columns)
        GROUP BY x.indexrelid, x.indisprimary
        HAVING count(*) = cardinality(columns)
           AND count(*) FILTER (WHERE a.attname = ANY (columns)) = cardinality(columns) - cardinality(gone)
        ORDER BY x.indisprimary DESC, x.indexrelid LIMIT 1);
    IF others IS NULL THEN
        RETURN columns;
    END IF;
    FOR i IN 1 .. cardinality(gone) LOOP
        columns := array_replace(columns, gone[i], others[i]);
    END LOOP;
    RETURN columns;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_key_columns(oid, text[], text[]) FROM PUBLIC;
