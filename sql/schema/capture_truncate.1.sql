-- AFTER TRUNCATE: one change for the table, without a key.
CREATE FUNCTION {schema}.pubsubpull_capture_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET "TimeZone" = 'UTC'
SET "DateStyle" = 'ISO, YMD'
SET "IntervalStyle" = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
AS $$
BEGIN
    IF current_setting('pubsubpull.uncaptured', true) <> '' THEN
        IF {schema}.pubsubpull_is_uncaptured(tg_argv[0]) THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM pg_current_xact_id();
    INSERT INTO {schema}.pubsubpull_change (model, op, request_id) VALUES (tg_argv[0], 'T', {schema}.pubsubpull_request_id());
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_capture_truncate() FROM PUBLIC;
