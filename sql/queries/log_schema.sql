-- The schema that the log's functions are in, NULL where there is no log.
SELECT (SELECT n.nspname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = to_regproc('pubsubpull_capture_insert'))
