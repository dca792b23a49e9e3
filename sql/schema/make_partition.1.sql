-- Make a partition for future ids. Return false if another session is doing so.
-- The table is made separately and then attached, which waits for no writer. Only a reader of the
-- default partition, which is empty, can delay it, and then for a moment.
-- A role from which the log is protected may call this. So the function only makes the next
-- partition, of an allowed size, and only a few ahead.
CREATE FUNCTION {schema}.pubsubpull_make_partition(low bigint, high bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    part text := format('{schema}.%I', 'pubsubpull_change_p' || low);
    seq bigint := (
        SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.pubsubpull_change_id_seq
    );
BEGIN
    IF NOT pg_try_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 1)
        OR to_regclass(part) IS NOT NULL
    THEN
        RETURN false;
    ELSIF low <> (SELECT p.low FROM {schema}.pubsubpull_partitions() p WHERE p.spare)
        OR high - greatest(low, seq) NOT BETWEEN 1 AND 1000000000
        OR (SELECT count(*) FROM {schema}.pubsubpull_partitions() p WHERE p.low > seq AND NOT p.spare) >= 100
        THEN
        RETURN false;
    END IF;
    -- Not CREATE TABLE ... PARTITION OF: this would lock the log against writers while the indexes
    -- are made.
    EXECUTE format('CREATE TABLE %s (LIKE {schema}.pubsubpull_change INCLUDING ALL)', part);
    PERFORM {schema}.pubsubpull_keep_to_owner(part::regclass);
    EXECUTE format(
        'ALTER TABLE {schema}.pubsubpull_change ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)',
        part, low, high
    );
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_make_partition(bigint, bigint) FROM PUBLIC;
