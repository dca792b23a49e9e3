-- Close the requests of some changes before a seal covers them: nothing can be added to them
-- afterwards.
-- A missing request gets its row now, so that its user cannot be set afterwards.
CREATE FUNCTION {schema}.pubsubpull_close_requests(changes bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO {schema}.pubsubpull_request (id, xid, source, started)
    SELECT c.request_id, '0', 'unknown', min(c.at) FROM {schema}.pubsubpull_change c
    WHERE c.id = ANY (changes)
        AND c.request_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM {schema}.pubsubpull_request r WHERE r.id = c.request_id)
    GROUP BY c.request_id ON CONFLICT DO NOTHING;
    UPDATE {schema}.pubsubpull_request r SET closed = true
    WHERE r.duration IS NULL
        AND r.closed IS NULL
        AND r.id IN (SELECT c.request_id FROM {schema}.pubsubpull_change c WHERE c.id = ANY (changes));
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_close_requests(bigint[]) FROM PUBLIC;
