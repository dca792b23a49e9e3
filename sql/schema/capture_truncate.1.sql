-- AFTER TRUNCATE: write a single change for the table, without a key.
CREATE FUNCTION {schema}.pubsubpull_capture_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
{text_settings}
AS $$
BEGIN
{unless_uncaptured}
    -- Assign the transaction id before the change takes its id: see change_table.1.sql.
    PERFORM pg_current_xact_id();
    INSERT INTO {schema}.pubsubpull_change (model, op, request_id)
    VALUES (tg_argv[0], 'T', {schema}.pubsubpull_request_id());
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_capture_truncate() FROM PUBLIC;
