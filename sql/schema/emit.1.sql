-- Write an event into the log and return its version: the outbox, in the transaction that causes
-- the event. Applications, their SQL and their own triggers call it.
-- It runs with the rights of the log's owner, since a role that emits events may be unable to write
-- to the log otherwise. It runs no code of any other role.
CREATE FUNCTION {schema}.pubsubpull_emit(label text, key text, data jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    request uuid;
    version bigint;
BEGIN
    IF label IS NULL OR label !~ '^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$' OR length(label) > 200 THEN
        RAISE EXCEPTION 'pubsubpull_emit: label: % is no label as shop.orderplaced',
            quote_nullable(left(label, 200)) USING ERRCODE = 'invalid_parameter_value';
    ELSIF key IS NULL THEN
        RAISE EXCEPTION 'pubsubpull_emit: key: it must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF data IS NULL OR jsonb_typeof(data) <> 'object' THEN
        RAISE EXCEPTION 'pubsubpull_emit: data: it must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    request := {schema}.pubsubpull_request_id();
    -- Assign the transaction id before the change takes its id: see change_table.1.sql.
    PERFORM pg_current_xact_id();
    INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, new)
    VALUES (label, 'V', key, request, data)
    RETURNING id INTO version;
    RETURN version;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_emit(text, text, jsonb) FROM PUBLIC;
