-- Return the existing triggers, each with the fingerprint from its comment (NULL if it is
-- disabled), the schema of the log that it writes to, and its arguments, each terminated by a zero
-- byte. Copies that PostgreSQL made on partitions belong to their parent's trigger.
SELECT n.nspname, c.relname, t.tgname,
       CASE WHEN t.tgenabled IN ('O', 'A') THEN obj_description(t.oid, 'pg_trigger') END AS fingerprint,
       l.nspname AS log, t.tgargs
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace l ON l.oid = p.pronamespace
WHERE t.tgname LIKE '00\_pubsubpull\_%' AND p.proname LIKE 'pubsubpull\_%' AND t.tgparentid = 0
ORDER BY 1, 2, 3
