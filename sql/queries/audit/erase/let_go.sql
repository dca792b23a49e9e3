-- Take the subscriptions of a model from their workers. A worker may have read changes of it that
-- wait to be sent, for long if a receiver fails. They are read again.
UPDATE pubsubpull_subscription SET worker = NULL, lease = lease + 1
WHERE worker IS NOT NULL AND (labels::jsonb ? {model} OR labels::jsonb ? '*')
