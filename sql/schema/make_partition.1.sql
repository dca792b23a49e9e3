-- Makes a partition for ids not yet given out; says whether it did, or another session is at it. It
-- is made by itself and then attached, which waits for no writer: only whoever reads the default
-- partition, which is empty, may be in the way, and then for a moment.
-- A role from which the log is protected may call this, so it makes the next partition only, of a
-- size that is one, and not more ahead than help.
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
    -- By itself, and not as PARTITION OF, which would lock the log against writers while its
    -- indexes are made.
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
