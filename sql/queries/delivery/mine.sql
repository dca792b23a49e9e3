-- Return the subscriptions that name the worker, with their leases.
SELECT id, lease FROM pubsubpull_subscription WHERE worker = {worker}
