-- Claim at most {at_most} subscriptions that are free, or whose worker's time has expired, for a
-- live worker.
WITH live AS MATERIALIZED (SELECT id FROM pubsubpull_worker WHERE expires > clock_timestamp()),
free AS MATERIALIZED (
    SELECT s.id FROM pubsubpull_subscription s JOIN pubsubpull_consumer c ON c.id = s.consumer_id
    WHERE s.state = ANY({served}) AND c.active AND c.may_subscribe
      AND (s.worker IS NULL OR NOT EXISTS (SELECT FROM live WHERE live.id = s.worker))
      AND EXISTS (SELECT FROM live WHERE live.id = {worker})
    -- SKIP LOCKED: workers that claim at the same time skip each other's rows and do not wait.
    ORDER BY s.id LIMIT {at_most} FOR UPDATE OF s SKIP LOCKED
)
UPDATE pubsubpull_subscription s
-- The lease grows: the worker that held it before writes no more.
SET worker = {worker}, lease = s.lease + 1
FROM free, pubsubpull_consumer c
WHERE s.id = free.id AND c.id = s.consumer_id
RETURNING s.*, c.name AS consumer, c.granted
