-- Return the models' labels that the log's partitions held when PostgreSQL last analyzed them.
-- Statistics have all but the rarest labels, and cost nothing.
SELECT DISTINCT v FROM pg_stats s
JOIN pg_class c ON c.relname = s.tablename
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname
CROSS JOIN unnest(s.most_common_vals::text::text[]) AS v
WHERE s.attname = 'model'
    AND c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('pubsubpull_change'))
ORDER BY v
