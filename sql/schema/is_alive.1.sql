-- Return true if the newest history goes on: no event since may have taken the database back to an
-- earlier state or emptied the log.
CREATE FUNCTION {schema}.pubsubpull_is_alive() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM {schema}.pubsubpull_alive a JOIN {schema}.pubsubpull_history h ON h.token = a.history
        WHERE a.started = pg_postmaster_start_time()
            AND a.log = '{schema}.pubsubpull_change'::regclass
            AND a.xmin::text::bigint = a.written
            AND a.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AND EXISTS (SELECT FROM {schema}.pubsubpull_log) AND EXISTS (SELECT FROM {schema}.pubsubpull_tick);
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_is_alive() FROM PUBLIC;
