-- Release subscriptions for other workers; all of the worker's subscriptions if {id} is null.
UPDATE pubsubpull_subscription SET worker = NULL, lease = lease + 1
WHERE worker = {worker} AND ({id}::uuid[] IS NULL OR id = ANY({id}::uuid[]))
