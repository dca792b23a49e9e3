-- Return the positions of a service's replicas, locked until the page is committed.
SELECT name, cursor, shape <> '', absent::text
FROM pubsubpull_replica
WHERE service = {service}
-- Lock by name: of two sessions that lock a service's replicas, one waits for the other, and never
-- both.
ORDER BY name
FOR UPDATE
