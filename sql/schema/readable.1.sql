-- Return a row of the log in the form that PostgreSQL reads into a table. `hstores` names its
-- hstore columns, as returned by pubsubpull_hstores.
CREATE FUNCTION {schema}.pubsubpull_readable(data jsonb, hstores jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    name text;
    type oid;
BEGIN
    IF hstores = '{{}}' THEN
        RETURN data;
    END IF;
    FOR name, type IN SELECT h.key, h.value::oid FROM jsonb_each_text(hstores) AS h LOOP
        IF data ? name THEN
            data := data || jsonb_build_object(name, {schema}.pubsubpull_hstore(data -> name, type));
        END IF;
    END LOOP;
    RETURN data;
END
$$;
