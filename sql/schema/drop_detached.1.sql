-- Drop a detached partition, which no session reads or writes. Return its name, NULL if there is
-- none.
CREATE FUNCTION {schema}.pubsubpull_drop_detached() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    found text;
BEGIN
    IF pg_try_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 1) THEN
        SELECT c.relname INTO found FROM pg_class c
        WHERE c.relnamespace = (
            SELECT relnamespace FROM pg_class WHERE oid = '{schema}.pubsubpull_change'::regclass
        )
            AND c.relkind = 'r' AND c.relname ~ '^pubsubpull_change_p\d+$' AND NOT c.relispartition LIMIT 1;
        IF found IS NOT NULL THEN
            EXECUTE format('DROP TABLE {schema}.%I', found);
        END IF;
    END IF;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_drop_detached() FROM PUBLIC;
