-- Disable subscriptions whose stored cursors cannot be read, if the worker still has the leases.
UPDATE pubsubpull_subscription s
SET state = {state}, last_error = {error}, next_attempt = NULL, worker = NULL, lease = s.lease + 1
FROM unnest({id}::uuid[], {lease}::bigint[]) AS v (id, lease)
WHERE s.id = v.id AND s.worker = {worker} AND s.lease = v.lease
