-- Return the functions with a name of ours in the schema {place}: signature, name, a digest of the
-- body, whether it runs with its owner's rights, its settings, and the schema that the body names.
SELECT p.oid::regprocedure::text, p.proname::text, encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'),
    p.prosecdef, coalesce(p.proconfig, '{{}}'),
    substring(p.prosrc FROM '("(?:[^"]|"")+")\.pubsubpull_')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = {place} AND p.proname LIKE 'pubsubpull\_%'
ORDER BY 2, 1
