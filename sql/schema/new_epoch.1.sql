-- Starts a new history of the log: after a restore the transaction ids of the rows at hand mean nothing here, so all of them count as visible.
-- The lock makes sure that none of them is still being written; it waits a moment, and fails rather than hold writers up.
CREATE FUNCTION pubsubpull_new_epoch(system bigint, db oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
BEGIN
    LOCK TABLE pubsubpull_change IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM pubsubpull_log WHERE system_identifier = system AND database = db) THEN
        RETURN;  -- another session was first
    END IF;
    DELETE FROM pubsubpull_log;
    INSERT INTO pubsubpull_log (epoch, system_identifier, database, restored, settled)
    SELECT ('x' || left(replace(gen_random_uuid()::text, '-', ''), 8))::bit(32)::bigint, system, db, s.reached, s.reached
    FROM (SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS reached FROM pubsubpull_change_id_seq) AS s;
END
$$;
REVOKE ALL ON FUNCTION pubsubpull_new_epoch(bigint, oid) FROM PUBLIC;
