-- Lock out seals until the transaction ends.
SELECT pg_advisory_xact_lock('pubsubpull_seal'::regclass::oid::integer, 1)
