-- Record that a dead letter was refused again. It waits for the next request of its consumer.
UPDATE pubsubpull_failure f
SET retrying = false, attempts = f.attempts + 1, tried = clock_timestamp(), status = {status}::int,
    answer = {answer}, error = {error}
FROM pubsubpull_subscription s
WHERE f.id = {failure} AND s.id = f.subscription_id AND s.worker = {worker} AND s.lease = {lease}
