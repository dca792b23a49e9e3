-- Move the settled id on, in two steps on two calls. The first step takes an id q and then a
-- transaction x. Once every transaction up to x has ended, all transactions with an id at or below
-- q have ended too, since each of them began before q was read.
-- Delete ticks older than a minute: a standby serves the newest tick it has replayed, and a cursor
-- carries its own snapshots.
CREATE FUNCTION {schema}.pubsubpull_settle() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    reached bigint;
BEGIN
    -- Read q before anything is written: an update assigns x to this transaction, and another
    -- transaction could begin after x and take an id up to q. If the caller has written already, x
    -- is too old: take no q.
    IF pg_current_xact_id_if_assigned() IS NULL THEN
        reached := (
            SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.pubsubpull_change_id_seq
        );
    END IF;
    UPDATE {schema}.pubsubpull_log
    SET settled = greatest(settled, next_settled), next_settled = NULL, next_xid = NULL
    WHERE next_xid < pg_snapshot_xmin(pg_current_snapshot());
    UPDATE {schema}.pubsubpull_log
    SET next_settled = reached, next_xid = pg_current_xact_id()
    WHERE next_xid IS NULL AND settled < reached;
    DELETE FROM {schema}.pubsubpull_tick
    WHERE at < clock_timestamp() - interval '1 minute' AND n < (SELECT max(n) FROM {schema}.pubsubpull_tick);
    RETURN (SELECT settled FROM {schema}.pubsubpull_log);
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_settle() FROM PUBLIC;
