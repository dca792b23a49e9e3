-- Make the partition of the imported past, of all ids below 1, if it is missing. Return true if it
-- exists. It waits for no writer, as pubsubpull_make_partition.
CREATE FUNCTION {schema}.pubsubpull_make_past() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
BEGIN
    IF to_regclass('{schema}.pubsubpull_change_past') IS NOT NULL THEN
        RETURN true;
    ELSIF NOT pg_try_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 1) THEN
        RETURN false;
    END IF;
    CREATE TABLE {schema}.pubsubpull_change_past (LIKE {schema}.pubsubpull_change INCLUDING ALL);
    PERFORM {schema}.pubsubpull_keep_to_owner('{schema}.pubsubpull_change_past'::regclass);
    ALTER TABLE {schema}.pubsubpull_change ATTACH PARTITION {schema}.pubsubpull_change_past
        FOR VALUES FROM (MINVALUE) TO (1);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_make_past() FROM PUBLIC;
