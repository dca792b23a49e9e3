-- Return the keys of the next rows of a table by primary key, as an array of arrays of the key
-- columns' texts; NULL if there are no more.
-- past: the texts of the previous page's last key, or NULL.
CREATE FUNCTION {schema}.pubsubpull_keys_after(
    relation regclass, columns text[], past text[], at_most integer
)
RETURNS jsonb
LANGUAGE plpgsql STABLE SET jit = off SET row_security = off AS $$
DECLARE
    names text := (
        SELECT string_agg(format('t.%I', c), ', ' ORDER BY i) FROM unnest(columns) WITH ORDINALITY AS u(c, i)
    );
    texts text := (
        SELECT string_agg(format('t.%I::text', c), ', ' ORDER BY i)
        FROM unnest(columns) WITH ORDINALITY AS u(c, i)
    );
    bound text := (
        SELECT string_agg(format('%L', v), ', ' ORDER BY i) FROM unnest(past) WITH ORDINALITY AS u(v, i)
    );
    found jsonb;
BEGIN
    EXECUTE format(
        'SELECT jsonb_agg(k ORDER BY place)
         FROM (
             SELECT jsonb_build_array(%1$s) AS k, row_number() OVER (ORDER BY %2$s) AS place
             FROM %3$s t %4$s
             ORDER BY %2$s
             LIMIT %5$s
         ) AS p',
        texts, names, relation,
        CASE WHEN past IS NOT NULL THEN format('WHERE ROW(%s) > ROW(%s)', names, bound) ELSE '' END,
        at_most
    )
    INTO found;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_keys_after(regclass, text[], text[], integer) FROM PUBLIC;
