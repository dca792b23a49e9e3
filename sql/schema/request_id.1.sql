-- Return the id of the request that the transaction-local setting names; NULL without a setting.
-- The first call of a transaction writes the request's row, so that the request and its changes
-- commit together. A rollback to a savepoint undoes both the row and the note of it.
-- The setting is the id's 36 characters followed by a JSON object. The object is only read if the
-- row is still to be written.
CREATE FUNCTION {schema}.pubsubpull_request_id() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    setting text := current_setting('pubsubpull.request', true);
    request uuid;
    data jsonb;
    began timestamptz;
BEGIN
    IF setting IS NULL OR setting = '' THEN
        RETURN NULL;
    ELSIF current_setting('pubsubpull.written', true) = left(setting, 36) THEN
        RETURN left(setting, 36)::uuid;
    ELSIF left(setting, 37) !~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\{{$' THEN
        RAISE WARNING USING MESSAGE = 'pubsubpull: the setting pubsubpull.request is not a request; '
            'the changes of this transaction name none';
        RETURN NULL;
    END IF;
    request := left(setting, 36)::uuid;
    -- Not ON CONFLICT: it would wait for another transaction of the same request to end.
    IF NOT EXISTS (SELECT FROM {schema}.pubsubpull_request r WHERE r.id = request) THEN
        BEGIN
            data := substr(setting, 37)::jsonb;
            -- the setting is set at the beginning of the transaction
            began := transaction_timestamp() - make_interval(secs => (data ->> 'elapsed')::double precision);
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            RAISE WARNING USING MESSAGE = 'pubsubpull: the setting pubsubpull.request is not a request; '
                'the changes of this transaction name none';
            RETURN NULL;
        END;
        INSERT INTO {schema}.pubsubpull_request (
            id, user_id, user_name, method, path, route, ip, user_agent, correlation_id, traceparent,
            tracestate, source, started, metadata
        )
        VALUES (
            request, data ->> 'user_id', data ->> 'user_name', data ->> 'method', data ->> 'path',
            data ->> 'route', data ->> 'ip', data ->> 'user_agent', data ->> 'correlation_id',
            data ->> 'traceparent', data ->> 'tracestate', coalesce(data ->> 'source', 'unknown'),
            coalesce(began, clock_timestamp()), coalesce(data -> 'metadata', '{{}}')
        );
        -- The session records the end of the request only if this message arrives, since only then
        -- is there a row. INFO is the level that always arrives.
        RAISE INFO 'pubsubpull: the request of this transaction is written'
            USING ERRCODE = 'PSP01', DETAIL = request;
    END IF;
    PERFORM set_config('pubsubpull.written', request::text, true);
    RETURN request;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_request_id() FROM PUBLIC;
