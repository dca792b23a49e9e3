-- Delete the changes up to an id once every transaction with one of these ids has ended. Return how
-- many. It serves a quiet log, whose partitions fill too slowly to be dropped in time.
CREATE FUNCTION {schema}.pubsubpull_trim(upto bigint, newest xid8) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    n bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 1)
        OR NOT EXISTS (SELECT FROM {schema}.pubsubpull_log WHERE settled >= upto) THEN
        RETURN 0;
    END IF;
    -- The note and the deletion commit together: a reader that misses the rows sees the note.
    UPDATE {schema}.pubsubpull_log SET dropped = greatest(dropped, upto),
        dropped_xid = CASE WHEN newest > dropped_xid THEN newest ELSE dropped_xid END;
    -- The id is a literal, so that the planner opens no other partition.
    EXECUTE format('DELETE FROM {schema}.pubsubpull_change WHERE id > 0 AND id <= %s', upto);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_trim(bigint, xid8) FROM PUBLIC;
