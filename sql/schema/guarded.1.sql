-- A row as jsonb, where its columns with json in them may hold what jsonb cannot: \u0000, half a
-- surrogate pair, a number beyond all bounds. The value of such a column is then an object whose
-- one key, pubsubpull:json, has its text, so that the write goes through and nothing is lost.
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
    -- Asked anew: one of them may have been renamed, added or dropped since the trigger was told of
    -- them.
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
