-- Return a replica's position, locked: no page is applied to it until the transaction ends.
SELECT cursor, absent::text
FROM pubsubpull_replica
WHERE name = {name} AND shape <> '' AND cursor <> ''
FOR UPDATE
