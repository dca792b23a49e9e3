-- Delete a dead letter that its receiver has accepted, if the worker still has the lease.
DELETE FROM pubsubpull_failure f USING pubsubpull_subscription s
WHERE f.id = {failure} AND s.id = f.subscription_id AND s.worker = {worker} AND s.lease = {lease}
RETURNING f.id
