-- Takes the subscriptions of a model from the workers that hold them: what they have read of it and
-- not sent yet, which may be for long where a receiver fails, is read again.
UPDATE pubsubpull_subscription SET worker = NULL, lease = lease + 1
WHERE worker IS NOT NULL AND (labels::jsonb ? {model} OR labels::jsonb ? '*')
