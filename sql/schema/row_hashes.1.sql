-- Return the key and the hash of each row of a range of keys, in the order of the keys, up to a
-- limit.
CREATE FUNCTION {schema}.pubsubpull_row_hashes(
    relation regclass, keys text[], columns text[], masked text[], filter jsonb, past text[], until text[],
    at_most integer
) RETURNS TABLE (key text, hash bigint) LANGUAGE plpgsql STABLE
SET jit = off
SET row_security = off
{text_settings}
AS $$
DECLARE
    shown text := CASE
        WHEN cardinality(keys) = 1 THEN 'to_jsonb(k1) #>> ''{{}}'''
        ELSE (
            SELECT format('jsonb_build_array(%s)::text', string_agg('k' || i, ', ' ORDER BY i))
            FROM generate_subscripts(keys, 1) AS i
        )
    END;
    ordered text := (
        SELECT string_agg(
            format('k%s%s', u.i, CASE WHEN a.attcollation <> 0 THEN ' COLLATE "C"' ELSE '' END), ', '
            ORDER BY u.i
        )
        FROM unnest(keys) WITH ORDINALITY AS u(c, i)
        JOIN pg_attribute a ON a.attrelid = relation AND a.attname = u.c
    );
BEGIN
    RETURN QUERY EXECUTE format('SELECT %s, h FROM (%s) AS rows ORDER BY %s LIMIT %s', shown,
        {schema}.pubsubpull_hash_query(relation, keys, columns, masked, filter, past, until),
        ordered, coalesce(at_most::text, 'ALL'));
END
$$;
