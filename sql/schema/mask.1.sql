-- Return the row with each masked column's value replaced by a constant.
CREATE FUNCTION {schema}.pubsubpull_mask(data jsonb, masked text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN data IS NULL THEN NULL
        ELSE data || coalesce((
            SELECT jsonb_object_agg(name, '***') FROM unnest(masked) AS name WHERE data ? name
        ), '{{}}')
    END
$$;
