-- Turn the bounded and validated default partition into the partition of the ids up to its bound,
-- and begin an empty default partition. No row is read or moved.
CREATE FUNCTION {schema}.pubsubpull_adopt_default(below bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    start bigint;
    name text;
BEGIN
    IF NOT pg_try_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 1) THEN
        RETURN false;
    END IF;
    -- Take the lock before the partitions are read, and hold it to the end. Between DETACH and
    -- ATTACH the ids of the default partition belong to no partition, so a writer would fail.
    LOCK TABLE {schema}.pubsubpull_change IN ACCESS EXCLUSIVE MODE;
    start := (SELECT p.low FROM {schema}.pubsubpull_partitions() p WHERE p.spare);
    name := 'pubsubpull_change_p' || start;
    ALTER TABLE {schema}.pubsubpull_change DETACH PARTITION {schema}.pubsubpull_change_default;
    EXECUTE format('ALTER TABLE {schema}.pubsubpull_change_default RENAME TO %I', name);
    EXECUTE format(
        'ALTER TABLE {schema}.pubsubpull_change ATTACH PARTITION {schema}.%I FOR VALUES FROM (%s) TO (%s)',
        name, start, below
    );
    EXECUTE format('ALTER TABLE {schema}.%I DROP CONSTRAINT pubsubpull_change_bound', name);
    CREATE TABLE {schema}.pubsubpull_change_default PARTITION OF {schema}.pubsubpull_change DEFAULT;
    PERFORM {schema}.pubsubpull_keep_to_owner('{schema}.pubsubpull_change_default'::regclass);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_adopt_default(bigint) FROM PUBLIC;
