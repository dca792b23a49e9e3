-- Add a constraint to the default partition: its ids are below an id that is long from being given
-- out. The default partition can then become a partition of a range without a scan under a lock.
-- pubsubpull_adopt_default keeps or drops the constraint. NULL drops it.
CREATE FUNCTION {schema}.pubsubpull_bound_default(below bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
BEGIN
    -- Only one session at a time may change partitions: see pubsubpull_adopt_default.
    PERFORM pg_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 1);
    ALTER TABLE {schema}.pubsubpull_change_default DROP CONSTRAINT IF EXISTS pubsubpull_change_bound;
    IF below IS NOT NULL THEN
        EXECUTE format(
            'ALTER TABLE {schema}.pubsubpull_change_default
             ADD CONSTRAINT pubsubpull_change_bound CHECK (id >= %s AND id < %s) NOT VALID',
            (SELECT low FROM {schema}.pubsubpull_partitions() WHERE spare), below
        );
    END IF;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_bound_default(bigint) FROM PUBLIC;
