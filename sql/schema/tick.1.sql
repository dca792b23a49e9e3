-- Writes a tick of a snapshot that has just been taken, which counts once the transaction has been
-- committed, and waits for the disk then, whatever the session's synchronous_commit is; gives its
-- number.
CREATE FUNCTION {schema}.pubsubpull_tick(
    history bigint, taken pg_snapshot, seq bigint, floor bigint, top bigint
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place bigint := pg_current_wal_insert_lsn() - '0/0'::pg_lsn;
BEGIN
    -- A cursor of a tick that a crash took back would name transactions whose ids are given out again.
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO {schema}.pubsubpull_tick (n, history, snapshot, seq, floor, top)
    VALUES (place, history, taken, seq, floor, top);
    RETURN place;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_tick(bigint, pg_snapshot, bigint, bigint, bigint) FROM PUBLIC;
