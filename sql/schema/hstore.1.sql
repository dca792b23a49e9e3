-- The values of hstore within some JSON, which are objects there, as the text that hstore reads;
-- all else as it is.
CREATE FUNCTION {schema}.pubsubpull_hstore(value jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(value) = 'array' THEN
        RETURN (
            SELECT coalesce(jsonb_agg({schema}.pubsubpull_hstore(e) ORDER BY i), '[]')
            FROM jsonb_array_elements(value) WITH ORDINALITY AS a(e, i)
        );
    ELSIF jsonb_typeof(value) = 'object' THEN
        RETURN (
            SELECT to_jsonb(coalesce(string_agg(
                '"' || regexp_replace(k, '(["\\])', '\\\1', 'g') || '"=>'
                || coalesce('"' || regexp_replace(v, '(["\\])', '\\\1', 'g') || '"', 'NULL'),
                ','
            ), ''))
            FROM jsonb_each_text(value) AS p(k, v)
        );
    END IF;
    RETURN value;
END
$$;
