-- Forgets a change that had been set aside and was taken at last.
WITH taken AS (
    DELETE FROM pubsubpull_failure f USING pubsubpull_subscription s
    WHERE f.id = {failure} AND s.id = f.subscription_id AND s.worker = {worker} AND s.lease = {lease}
    RETURNING s.id
)
UPDATE pubsubpull_subscription s
SET delivered = s.delivered + 1, last_delivered = clock_timestamp()
FROM taken
WHERE s.id = taken.id
