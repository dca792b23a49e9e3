-- The positions of a service's replicas, locked: what applies a page holds them until it commits.
SELECT name, cursor, shape <> '', absent::text
FROM pubsubpull_replica
WHERE service = {service}
ORDER BY name
FOR UPDATE
