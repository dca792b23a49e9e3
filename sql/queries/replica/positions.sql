-- Return the positions of a service's replicas, or of the named one alone, locked until the page is
-- committed.
SELECT name, cursor, shape <> '', absent::text
FROM pubsubpull_replica
WHERE service = {service} AND ({name}::text IS NULL OR name = {name})
-- Lock by name: of two sessions that lock a service's replicas, one waits for the other, and never
-- both.
ORDER BY name
FOR UPDATE
