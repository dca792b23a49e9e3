-- Forgets the workers that are gone and hold nothing any more.
DELETE FROM pubsubpull_worker w
WHERE expires < clock_timestamp() AND NOT EXISTS (SELECT FROM pubsubpull_subscription WHERE worker = w.id)
