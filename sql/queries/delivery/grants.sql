-- Return the grants of the consumers whose subscriptions the worker holds; nothing for a consumer
-- that may not subscribe.
SELECT c.id, CASE WHEN c.active AND c.may_subscribe THEN c.granted END FROM pubsubpull_consumer c
WHERE EXISTS (SELECT FROM pubsubpull_subscription s WHERE s.consumer_id = c.id AND s.worker = {worker})
