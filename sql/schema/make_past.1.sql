-- Makes the partition of the imported past, of all ids below 1, where it is not there; says whether it is. It waits for no writer, as
-- pubsubpull_make_partition.
CREATE FUNCTION pubsubpull_make_past() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    log text := (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'pubsubpull_change'::regclass);
BEGIN
    IF to_regclass(log || '.pubsubpull_change_past') IS NOT NULL THEN
        RETURN true;
    ELSIF NOT pg_try_advisory_xact_lock('pubsubpull_change'::regclass::oid::integer, 1) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %s.pubsubpull_change_past (LIKE pubsubpull_change INCLUDING ALL)', log);
    PERFORM pubsubpull_keep_to_owner(format('%s.pubsubpull_change_past', log)::regclass);
    EXECUTE format('ALTER TABLE pubsubpull_change ATTACH PARTITION %s.pubsubpull_change_past FOR VALUES FROM (MINVALUE) TO (1)', log);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION pubsubpull_make_past() FROM PUBLIC;
