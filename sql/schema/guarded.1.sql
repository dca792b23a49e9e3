-- Return a row as jsonb if its json columns may hold values that jsonb cannot: \u0000, half a
-- surrogate pair, a number beyond all bounds. Such a column becomes an object with the single key
-- pubsubpull:json and the text as its value. The write succeeds and nothing is lost.
CREATE FUNCTION {schema}.pubsubpull_guarded(data anyelement, relation oid, guarded text[])
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    columns text;
    result jsonb;
    name text;
    part jsonb;
    value text;
BEGIN
    RETURN to_jsonb(data);
EXCEPTION WHEN data_exception THEN
    -- Read the columns again: a column may have been renamed, added or dropped since the trigger
    -- was made.
    guarded := {schema}.pubsubpull_guarded_columns(relation);
    SELECT string_agg(format('($1).%I', attname), ', ' ORDER BY attnum) INTO columns FROM pg_attribute
    WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped AND attname <> ALL (guarded);
    EXECUTE format('SELECT to_jsonb(x.*) FROM (SELECT %s) AS x', columns) INTO result USING data;
    FOREACH name IN ARRAY guarded LOOP
        BEGIN
            EXECUTE format('SELECT jsonb_build_object(%L, ($1).%I)', name, name) INTO part USING data;
            result := result || part;
        EXCEPTION WHEN data_exception THEN
            EXECUTE format('SELECT ($1).%I::text', name) INTO value USING data;
            result := result || jsonb_build_object(name, jsonb_build_object('pubsubpull:json', value));
        END;
    END LOOP;
    RETURN result;
END
$$;
