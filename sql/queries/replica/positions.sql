-- The positions of a service's replicas, locked: what applies a page holds them until it commits.
SELECT name, cursor, shape <> '', absent::text
FROM pubsubpull_replica
WHERE service = {service}
-- By name: of two that lock a service's replicas, one waits for the other, and never both.
ORDER BY name
FOR UPDATE
