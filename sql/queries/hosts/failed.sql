-- Count a failed exchange with a host, begun {took} seconds ago. While the breaker is open, only a
-- probe counts: other sends had begun before.
INSERT INTO pubsubpull_host AS h (host, failures, began, retry_at, error)
VALUES ({host}, 1, clock_timestamp() - make_interval(secs => {took}), clock_timestamp(), {error})
ON CONFLICT (host) DO UPDATE SET failures = h.failures + 1, began = excluded.began, error = excluded.error
WHERE {probe} OR h.failures < {threshold}
RETURNING failures
