-- Return the present of the log and, if it is quickly read, the page after a cursor that had seen
-- the log's end, in a single round trip. The present comes first, since the page's arguments come
-- from it.
SELECT p.*, c.*
FROM pubsubpull_present() AS p
CROSS JOIN LATERAL pubsubpull_poll(
    %(models)s, %(low)s, p.top, %(seen)s::pg_snapshot, p.snapshot::pg_snapshot, p.restored, p.standby,
    %(few)s, %(old)s, %(excluded)s::text[], %(stars)s::jsonb
) AS c
