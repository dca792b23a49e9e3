-- Lets one session at a time make the log's functions anew; to the end of the transaction.
SELECT pg_advisory_xact_lock('pubsubpull_change'::regclass::oid::integer, 3)
