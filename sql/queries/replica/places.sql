-- The places of a service's replicas, locked: whoever applies a page holds them until it is
-- committed.
SELECT name, cursor, shape <> '', absent::text
FROM pubsubpull_replica
WHERE service = {service}
ORDER BY name
FOR UPDATE
