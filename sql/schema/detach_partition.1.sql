-- Detach the oldest partition from the log once every transaction with an id of it has ended.
-- Return true if it did.
-- The log records in the same transaction which changes are gone, so that a reader sees either the
-- rows or the record. Writers wait at most for the lock's time-out and this change of the
-- catalogue; no row is read or deleted. The table stays for pubsubpull_drop_detached.
CREATE FUNCTION {schema}.pubsubpull_detach_partition(upto bigint, newest xid8) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    part record;
BEGIN
    IF NOT pg_try_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 1) THEN
        RETURN false;
    END IF;
    SELECT * INTO part FROM {schema}.pubsubpull_partitions() LIMIT 1;
    IF part.spare
        OR part.high - 1 <> upto
        OR NOT EXISTS (SELECT FROM {schema}.pubsubpull_log WHERE settled >= upto)
    THEN
        RETURN false;
    END IF;
    -- Take this lock before the log's row is written: while waiting for it, hold nothing else.
    LOCK TABLE {schema}.pubsubpull_change IN ACCESS EXCLUSIVE MODE;
    UPDATE {schema}.pubsubpull_log SET dropped = greatest(dropped, upto),
        dropped_xid = CASE WHEN newest > dropped_xid THEN newest ELSE dropped_xid END;
    EXECUTE format('ALTER TABLE {schema}.pubsubpull_change DETACH PARTITION %s', part.relation);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_detach_partition(bigint, xid8) FROM PUBLIC;
