-- Delete some of the requests that began before a moment and have no change any more. Return how
-- many.
CREATE FUNCTION {schema}.pubsubpull_prune_requests(before timestamptz, at_most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n bigint;
BEGIN
    DELETE FROM {schema}.pubsubpull_request r USING (
        SELECT o.id, o.xid FROM {schema}.pubsubpull_request o
        WHERE o.started < before
            AND NOT EXISTS (SELECT FROM {schema}.pubsubpull_change c WHERE c.request_id = o.id)
        -- SKIP LOCKED: skip rows that another session deletes, and requests that are being written
        -- to.
        LIMIT at_most FOR UPDATE SKIP LOCKED
    ) AS old WHERE r.id = old.id AND r.xid = old.xid;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_prune_requests(timestamptz, integer) FROM PUBLIC;
