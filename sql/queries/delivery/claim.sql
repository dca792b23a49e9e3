-- Takes at most {at_most} subscriptions that are free, or whose worker is gone, for a worker that
-- lives. The lease grows, so that whoever held one before writes no more.
WITH live AS MATERIALIZED (SELECT id FROM pubsubpull_worker WHERE expires > clock_timestamp()),
free AS MATERIALIZED (
    SELECT s.id FROM pubsubpull_subscription s JOIN pubsubpull_consumer c ON c.id = s.consumer_id
    WHERE s.state IN ('unverified', 'active', 'failing') AND c.active AND c.may_subscribe
      AND (s.worker IS NULL OR NOT EXISTS (SELECT FROM live WHERE live.id = s.worker))
      AND EXISTS (SELECT FROM live WHERE live.id = {worker})
    ORDER BY s.id LIMIT {at_most} FOR UPDATE OF s SKIP LOCKED
)
UPDATE pubsubpull_subscription s SET worker = {worker}, lease = s.lease + 1
FROM free, pubsubpull_consumer c
WHERE s.id = free.id AND c.id = s.consumer_id
RETURNING s.id, s.lease, s.name, c.name, s.callback, s.wanted, s.ops, s.batch, s.concurrency, s.form,
    s.on_failure, s.signature, s.secrets, s.state, s.cursor, s.told,
    s.initial, s.attempts,
    extract(epoch FROM s.failing_since)::double precision,
    extract(epoch FROM s.next_attempt)::double precision, s.last_error, c.id, c.granted, s.max_rate,
    extract(epoch FROM s.free_at)::double precision, s.allowed_rate
