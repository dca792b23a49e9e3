-- Validate the constraint that pubsubpull_bound_default added, by a scan of the default partition.
-- No session waits for this.
CREATE FUNCTION {schema}.pubsubpull_validate_default() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
    ALTER TABLE {schema}.pubsubpull_change_default VALIDATE CONSTRAINT pubsubpull_change_bound
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_validate_default() FROM PUBLIC;
