-- A row of the log as PostgreSQL reads it into a table whose columns `hstores` are of that type.
CREATE FUNCTION {schema}.pubsubpull_readable(data jsonb, hstores text[])
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY hstores LOOP
        IF data ? name THEN
            data := data || jsonb_build_object(name, {schema}.pubsubpull_hstore(data -> name));
        END IF;
    END LOOP;
    RETURN data;
END
$$;
