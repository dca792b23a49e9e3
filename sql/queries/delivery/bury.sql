-- Delete the workers whose time has expired and who hold no lease any more.
DELETE FROM pubsubpull_worker w
WHERE expires < clock_timestamp() AND NOT EXISTS (SELECT FROM pubsubpull_subscription WHERE worker = w.id)
