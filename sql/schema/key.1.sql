-- Return a row's key as text: the column's own text, or for a composite key a JSON array of the
-- columns.
CREATE FUNCTION {schema}.pubsubpull_key(data jsonb, columns text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN cardinality(columns) = 1 THEN data ->> columns[1]
                ELSE (
                    SELECT jsonb_agg(data -> name ORDER BY place)
                    FROM unnest(columns) WITH ORDINALITY AS c(name, place)
                )::text
           END
$$;
