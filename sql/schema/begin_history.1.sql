-- Begin a new history of the log after its newest tick. If that tick or the previous history
-- belongs to another log, a dump or a copy brought it. Its transaction ids mean nothing here, so
-- all its changes count as visible and no old cursor is valid.
-- The locks let a single session begin the history, and wait until no row of the log is being
-- written. A lock that is not free soon is an error.
CREATE FUNCTION {schema}.pubsubpull_begin_history() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    identifier bigint := (pg_control_system()).system_identifier;
    db oid := (SELECT oid FROM pg_database WHERE datname = current_database());
    table_oid oid := '{schema}.pubsubpull_change'::regclass;
    place bigint := pg_current_wal_insert_lsn() - '0/0'::pg_lsn;
    last record;
    reached bigint;
    top bigint;
    taken pg_snapshot;
    goes_on boolean;
    new_token bigint := ('x' || left(replace(gen_random_uuid()::text, '-', ''), 12))::bit(48)::bigint;
    writer bigint;
BEGIN
    -- Take this lock before reading the present state: the second of two sessions then finds the
    -- history of the first.
    LOCK TABLE {schema}.pubsubpull_alive IN EXCLUSIVE MODE;
    IF {schema}.pubsubpull_is_alive() THEN
        RETURN;  -- another session was first
    END IF;
    SELECT * INTO last FROM {schema}.pubsubpull_tick ORDER BY n DESC, xid DESC LIMIT 1;
    reached := (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.pubsubpull_change_id_seq);
    taken := pg_current_snapshot();
    -- The numbers of a server may also go back without a recovery (pg_resetwal, setval): this is
    -- another past, too.
    goes_on := EXISTS (
        SELECT FROM {schema}.pubsubpull_history h
        WHERE h.token = last.history AND h.written = h.xmin::text::bigint
            AND h.system_identifier = identifier AND h.database = db AND h.log = table_oid
    )
    AND EXISTS (SELECT FROM {schema}.pubsubpull_log)
    AND last.n < place
    AND last.top <= reached
    AND pg_snapshot_xmax(last.snapshot) <= pg_snapshot_xmax(taken);
    IF NOT goes_on THEN
        -- Under this lock every writer that has an id has ended. Read the id again: some ids were
        -- taken before the lock was granted.
        LOCK TABLE {schema}.pubsubpull_change IN SHARE ROW EXCLUSIVE MODE;
        reached := (
            SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.pubsubpull_change_id_seq
        );
        taken := pg_current_snapshot();
        DELETE FROM {schema}.pubsubpull_history;
        DELETE FROM {schema}.pubsubpull_tick;
        DELETE FROM {schema}.pubsubpull_log;
        INSERT INTO {schema}.pubsubpull_log (restored, settled) VALUES (reached, reached);
    END IF;
    -- Read this after the snapshot, so that no transaction of the snapshot has an id above it.
    top := (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.pubsubpull_change_id_seq);
    INSERT INTO {schema}.pubsubpull_history (token, after, system_identifier, database, log)
    VALUES (new_token, CASE WHEN goes_on THEN last.n ELSE 0 END, identifier, db, table_oid)
    RETURNING xmin::text::bigint
    INTO writer;
    UPDATE {schema}.pubsubpull_history SET written = writer WHERE token = new_token;
    DELETE FROM {schema}.pubsubpull_alive;
    INSERT INTO {schema}.pubsubpull_alive (history, started, database, log, written)
    VALUES (new_token, pg_postmaster_start_time(), db, table_oid, writer);
    PERFORM {schema}.pubsubpull_tick(
        new_token, taken, reached, (SELECT settled FROM {schema}.pubsubpull_log), top
    );
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_begin_history() FROM PUBLIC;
