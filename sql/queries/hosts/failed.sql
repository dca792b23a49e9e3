-- Counts an exchange with a host that failed, begun {took} seconds ago. Once the host is given up,
-- only a probe counts: the others were on their way already.
INSERT INTO pubsubpull_host AS h (host, failures, began, retry_at, error)
VALUES ({host}, 1, clock_timestamp() - make_interval(secs => {took}), clock_timestamp(), {error})
ON CONFLICT (host) DO UPDATE SET failures = h.failures + 1, began = excluded.began, error = excluded.error
WHERE {probe} OR h.failures < {threshold}
RETURNING failures
