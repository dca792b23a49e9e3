-- Return the dead letters that their consumers want redelivered, for the worker's subscriptions,
-- oldest first.
SELECT f.id, s.id AS subscription, s.lease, f.version, f.model, f.op, f.item
FROM pubsubpull_failure f JOIN pubsubpull_subscription s ON s.id = f.subscription_id
WHERE f.retrying AND s.worker = {worker}
ORDER BY f.version LIMIT 1000
