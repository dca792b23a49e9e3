-- AFTER INSERT OR UPDATE OR DELETE, once a row, for tables on which a statement's trigger would fire too late.
-- Arguments as for pubsubpull_capture_insert.
CREATE FUNCTION pubsubpull_capture_row() RETURNS trigger
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
    PERFORM pubsubpull_log_row(
        tg_argv[0], tg_argv[1]::text[], tg_argv[2]::text[], tg_argv[3]::text[],
        CASE WHEN tg_op <> 'INSERT' THEN to_jsonb(old) END, CASE WHEN tg_op <> 'DELETE' THEN to_jsonb(new) END
    );
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pubsubpull_capture_row() FROM PUBLIC;
