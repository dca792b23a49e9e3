-- Makes the default partition, once it is bound and validated, the partition of the ids up to the bound, and begins an empty default partition.
-- No row is read or moved.
CREATE FUNCTION pubsubpull_adopt_default(below bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    log text := (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'pubsubpull_change'::regclass);
    start bigint;
    name text;
BEGIN
    IF NOT pg_try_advisory_xact_lock('pubsubpull_change'::regclass::oid::integer, 1) THEN
        RETURN false;
    END IF;
    LOCK TABLE pubsubpull_change IN ACCESS EXCLUSIVE MODE;
    start := (SELECT p.low FROM pubsubpull_partitions() p WHERE p.spare);
    name := 'pubsubpull_change_p' || start;
    ALTER TABLE pubsubpull_change DETACH PARTITION pubsubpull_change_default;
    EXECUTE format('ALTER TABLE pubsubpull_change_default RENAME TO %I', name);
    EXECUTE format('ALTER TABLE pubsubpull_change ATTACH PARTITION %s.%I FOR VALUES FROM (%s) TO (%s)', log, name, start, below);
    EXECUTE format('ALTER TABLE %s.%I DROP CONSTRAINT pubsubpull_change_bound', log, name);
    EXECUTE format('CREATE TABLE %s.pubsubpull_change_default PARTITION OF pubsubpull_change DEFAULT', log);
    PERFORM pubsubpull_keep_to_owner(format('%s.pubsubpull_change_default', log)::regclass);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION pubsubpull_adopt_default(bigint) FROM PUBLIC;
