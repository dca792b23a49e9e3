-- The id of the request that the transaction-local setting names, and NULL where there is none. The first call of a
-- transaction writes the request's row, so that who and what commit together; a rollback to a savepoint undoes both the row and the note of it.
-- The setting is the id's 36 characters followed by a JSON object.
CREATE FUNCTION pubsubpull_request_id() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    setting text := current_setting('pubsubpull.request', true);
    request text := left(setting, 36);
    data jsonb;
BEGIN
    IF setting IS NULL OR setting = '' THEN
        RETURN NULL;
    ELSIF current_setting('pubsubpull.written', true) = request THEN
        RETURN request::uuid;
    ELSIF setting !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\{.*\}$' THEN
        RAISE WARNING 'pubsubpull: the setting pubsubpull.request is not a request; the changes of this transaction name none';
        RETURN NULL;
    END IF;
    data := substr(setting, 37)::jsonb;
    -- Not ON CONFLICT: that would wait for another transaction of the same request to end.
    INSERT INTO pubsubpull_request (id, user_id, user_name, method, path, route, ip, user_agent, correlation_id, source, started, metadata)
    SELECT request::uuid, data ->> 'user_id', data ->> 'user_name', data ->> 'method', data ->> 'path', data ->> 'route', data ->> 'ip',
           data ->> 'user_agent', data ->> 'correlation_id', coalesce(data ->> 'source', 'unknown'),
           to_timestamp((data ->> 'started')::double precision), coalesce(data -> 'metadata', '{}')
    WHERE NOT EXISTS (SELECT FROM pubsubpull_request r WHERE r.id = request::uuid);
    PERFORM set_config('pubsubpull.written', request, true);
    RETURN request::uuid;
END
$$;
REVOKE ALL ON FUNCTION pubsubpull_request_id() FROM PUBLIC;
