-- Promises that the default partition has ids below an id only, which has not been given out for
-- long: so it can become a partition of a range without being read under a lock. The promise is
-- kept or taken back by pubsubpull_adopt_default; NULL takes it back.
CREATE FUNCTION {schema}.pubsubpull_bound_default(below bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
BEGIN
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
