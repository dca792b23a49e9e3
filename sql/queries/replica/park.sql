-- Set changes of a page aside for a replica. `passed` changes are behind the page that is being
-- applied.
INSERT INTO pubsubpull_parked (replica, key, version, item, error, since, passed, done)
SELECT %(replica)s, i ->> 'key', (i ->> 'version')::bigint, i, %(error)s, clock_timestamp(), %(passed)s, false
FROM jsonb_array_elements(%(body)s::jsonb -> 'items') AS i
WHERE i ->> 'model' = %(source)s AND (i ->> 'version')::bigint = ANY (%(versions)s::bigint[])
ON CONFLICT (replica, version) DO UPDATE SET passed = excluded.passed
