-- Return the holders of a lock on the table {table} or one of its partitions: the process, its
-- application name, and for how many seconds its transaction has been open; the oldest first.
SELECT a.pid, a.application_name, extract(epoch FROM clock_timestamp() - a.xact_start)::float
FROM pg_stat_activity a
WHERE a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL AND EXISTS (
    SELECT FROM pg_locks l
    WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (
          l.relation = to_regclass({table})
          OR l.relation IN (SELECT relid FROM pg_partition_tree(to_regclass({table})))
      ))
ORDER BY a.xact_start LIMIT 3
