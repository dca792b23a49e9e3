-- Switch capture of models off until the transaction or the savepoint ends, or until the setting is
-- reset to the returned former value.
-- The log has a record for each model: without it the setting has no effect. The request of the
-- record has the reason in its metadata.
CREATE FUNCTION {schema}.pubsubpull_uncapture(labels text[], reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before text := coalesce(current_setting('pubsubpull.uncaptured', true), '');
    refused text;
    request uuid;
    ids bigint[];
BEGIN
    IF reason !~ '\S' IS NOT FALSE OR length(reason) > 2000 THEN
        RAISE EXCEPTION 'pubsubpull: reason: a text of up to 2,000 characters'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- A trigger's first argument is its model's label, terminated by a zero byte.
    SELECT l INTO refused
    FROM unnest(labels) AS l
    WHERE NOT EXISTS (
        SELECT
        FROM pg_trigger t
        WHERE t.tgname LIKE '00\_pubsubpull\_%'
            AND substring(t.tgargs FOR octet_length(l) + 1)
                = convert_to(l, getdatabaseencoding()) || '\x00'::bytea
    )
    LIMIT 1;
    IF FOUND OR coalesce(cardinality(labels), 0) = 0 THEN
        RAISE EXCEPTION 'pubsubpull: models: %',
            coalesce(left(refused, 200) || ' is not captured here', 'name at least one')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Assign the transaction id before the records take their ids: see change_table.1.sql.
    PERFORM pg_current_xact_id();
    request := {schema}.pubsubpull_request_id();
    IF NOT EXISTS (
        SELECT FROM {schema}.pubsubpull_request r WHERE r.id = request AND r.metadata ->> 'reason' = reason
    )
    THEN
        request := gen_random_uuid();
        INSERT INTO {schema}.pubsubpull_request (id, user_name, source, started, metadata)
        VALUES (request, session_user, 'uncaptured', clock_timestamp(), jsonb_build_object('reason', reason));
    END IF;
    WITH written AS (
        INSERT INTO {schema}.pubsubpull_change (model, op, request_id)
        SELECT DISTINCT l, "char" 'O', request
        FROM unnest(labels) AS l
        RETURNING id
    )
    SELECT array_agg(id) INTO ids FROM written;
    PERFORM set_config(
        'pubsubpull.uncaptured', concat_ws(',', nullif(before, ''), array_to_string(ids, ',')), true
    );
    RETURN before;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_uncapture(text[], text) FROM PUBLIC;
