-- Return how many workers are alive, and how many subscriptions are to be delivered.
SELECT (SELECT count(*) FROM pubsubpull_worker WHERE expires > clock_timestamp()),
       (SELECT count(*) FROM pubsubpull_subscription s JOIN pubsubpull_consumer c ON c.id = s.consumer_id
        WHERE s.state = ANY({served}) AND c.active AND c.may_subscribe)
