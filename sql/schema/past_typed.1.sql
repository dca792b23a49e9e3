-- A row whose values are texts, as another package wrote them down, with the values as the log has them: by the table's types, without their
-- lengths, which may have been others then. What no longer is a value of its column's type is left out.
CREATE FUNCTION pubsubpull_past_typed(data jsonb, relation regclass) RETURNS jsonb LANGUAGE plpgsql STABLE
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
AS $$
DECLARE
    one record;
    value jsonb;
    result jsonb := '{}';
BEGIN
    IF data IS NULL THEN
        RETURN NULL;
    END IF;
    FOR one IN
        SELECT d.key AS name, d.value,
            format_type(a.atttypid, CASE WHEN y.typcategory = 'N' THEN a.atttypmod END) AS type
        FROM jsonb_each_text(data) AS d
        JOIN pg_attribute a ON a.attrelid = relation AND a.attname = d.key AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type y ON y.oid = a.atttypid
    LOOP
        BEGIN
            EXECUTE format('SELECT to_jsonb($1::%s)', one.type) INTO value USING one.value;
            result := result || jsonb_build_object(one.name, value);
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            CONTINUE;
        END;
    END LOOP;
    RETURN result;
END
$$;
