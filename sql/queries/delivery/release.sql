-- Lets subscriptions go, for another worker to take; all of the worker's, if {id} is null.
UPDATE pubsubpull_subscription SET worker = NULL, lease = lease + 1
WHERE worker = {worker} AND ({id}::uuid[] IS NULL OR id = ANY({id}::uuid[]))
