-- Return the tables of the log in its schema, and all partitions.
SELECT c.oid, c.relname::text AS name, c.oid::regclass::text AS place, c.relowner, c.relacl, c.relispartition,
    c.relrowsecurity
FROM pg_class c
WHERE c.relkind IN ('r', 'p')
    AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'pubsubpull_change'::regclass)
  AND (
      c.relname IN (
          'pubsubpull_change', 'pubsubpull_request', 'pubsubpull_log', 'pubsubpull_history',
          'pubsubpull_tick', 'pubsubpull_alive', 'pubsubpull_seal', 'pubsubpull_erasure', 'pubsubpull_import'
      )
       OR c.oid IN (SELECT relid FROM pg_partition_tree('pubsubpull_change')))
