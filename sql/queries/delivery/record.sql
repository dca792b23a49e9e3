-- Records how delivery fares, for many subscriptions at once; only where the worker still holds
-- them. One that is delivered no more is let go.
-- Times are unix seconds.
UPDATE pubsubpull_subscription s
SET cursor = v.cursor, told = v.told, initial = v.initial, state = v.state, attempts = v.attempts,
    failing_since = to_timestamp(v.failing_since),
    next_attempt = to_timestamp(v.next_attempt), free_at = to_timestamp(v.free_at),
    last_error = v.last_error,
    last_delivered = coalesce(to_timestamp(v.last_delivered), s.last_delivered),
    delivered = s.delivered + v.delivered,
    consented = CASE
        WHEN s.state = 'unverified' AND v.state IN ('active', 'failing') THEN s.callback
        ELSE s.consented
    END,
    allowed_rate = CASE WHEN s.state = 'unverified' THEN v.allowed_rate ELSE s.allowed_rate END,
    worker = CASE WHEN v.state IN ('unverified', 'active', 'failing') THEN s.worker END,
    lease = s.lease + CASE WHEN v.state IN ('unverified', 'active', 'failing') THEN 0 ELSE 1 END
FROM unnest(
    {id}::uuid[], {lease}::bigint[], {cursor}::text[], {told}::text[], {initial}::text[], {state}::text[],
    {attempts}::int[], {failing_since}::double precision[],
    {next_attempt}::double precision[], {free_at}::double precision[], {allowed_rate}::int[],
    {last_error}::text[], {last_delivered}::double precision[], {delivered}::bigint[]
) AS v (
    id, lease, cursor, told, initial, state, attempts, failing_since, next_attempt, free_at, allowed_rate,
    last_error, last_delivered, delivered
)
WHERE s.id = v.id AND s.worker = {worker} AND s.lease = v.lease
RETURNING s.id
