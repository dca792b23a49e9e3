-- What the role {role} may do on each table of the log: whether it owns it, or is a member of who does, and by right.
SELECT c.relname::text, pg_get_userbyid(c.relowner)::text, pg_has_role({role}, c.relowner, 'MEMBER'), c.relispartition,
    ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) WITH ORDINALITY AS u (p, i)
          WHERE has_table_privilege({role}, c.oid, p) OR p IN ('INSERT', 'UPDATE') AND has_any_column_privilege({role}, c.oid, p) ORDER BY i)
FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'pubsubpull_change'::regclass)
  AND (c.relname IN ('pubsubpull_change', 'pubsubpull_request', 'pubsubpull_log', 'pubsubpull_history', 'pubsubpull_tick', 'pubsubpull_alive', 'pubsubpull_seal', 'pubsubpull_erasure', 'pubsubpull_import')
       OR c.oid IN (SELECT relid FROM pg_partition_tree('pubsubpull_change')))
ORDER BY c.relispartition, c.relname
