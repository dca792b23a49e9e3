-- The present of the log and, where that is easily said, the page after a cursor that had seen its
-- end, in one round trip. The present is taken first, since the other function is given what it
-- says.
SELECT p.*, c.*
FROM pubsubpull_present() AS p
CROSS JOIN LATERAL pubsubpull_poll(
    %(models)s, %(low)s, p.top, %(seen)s::pg_snapshot, p.snapshot::pg_snapshot, p.restored, p.standby,
    %(few)s, %(old)s, %(excluded)s::text[], %(stars)s::jsonb
) AS c
