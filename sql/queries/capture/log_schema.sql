-- Return the schema of the log and its functions, NULL if there is no log.
SELECT (
    SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass('pubsubpull_change')
      AND EXISTS (
          SELECT FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'pubsubpull_capture_insert'
      )
)
