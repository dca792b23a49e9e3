-- Pins the search path of the functions that run with their owner's rights to the schema that the tables were made in, after PostgreSQL's own,
-- and with temporary tables last, so that nobody can put an object of theirs in the way.
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOR function IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'pubsubpull\_%' AND proconfig IS NOT NULL
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', function, current_schema());
    END LOOP;
END
$$;
