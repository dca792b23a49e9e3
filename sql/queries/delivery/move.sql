-- Record how far the log has been read for subscriptions without matching changes.
UPDATE pubsubpull_subscription s SET cursor = {cursor}
FROM unnest({id}::uuid[], {lease}::bigint[]) AS v (id, lease)
WHERE s.id = v.id AND s.worker = {worker} AND s.lease = v.lease
