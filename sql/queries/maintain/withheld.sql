-- Return the owner of the log, and those of the functions {names} that the current role may not
-- call.
SELECT pg_get_userbyid(c.relowner)::text, ARRAY(
    SELECT p.proname::text FROM pg_proc p
    WHERE p.pronamespace = c.relnamespace
        AND p.proname = ANY({names}::text[])
        AND NOT has_function_privilege(p.oid, 'EXECUTE'))
FROM pg_class c WHERE c.oid = 'pubsubpull_change'::regclass
