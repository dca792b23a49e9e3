-- Write a tick of a fresh snapshot and return its number. The tick counts once its transaction has
-- committed. The commit waits for the disk under any synchronous_commit of the session.
CREATE FUNCTION {schema}.pubsubpull_tick(
    history bigint, taken pg_snapshot, seq bigint, floor bigint, top bigint
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place bigint := pg_current_wal_insert_lsn() - '0/0'::pg_lsn;
BEGIN
    -- Without this, a crash could take a tick back, and the transactions in its cursors would share
    -- their ids with later ones.
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO {schema}.pubsubpull_tick (n, history, snapshot, seq, floor, top)
    VALUES (place, history, taken, seq, floor, top);
    RETURN place;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_tick(bigint, pg_snapshot, bigint, bigint, bigint) FROM PUBLIC;
