-- Allow a single session at a time to replace the log's functions, until the transaction ends.
SELECT pg_advisory_xact_lock('pubsubpull_change'::regclass::oid::integer, 3)
