-- What a worker looks at all the time, in one round trip: the present of the log, what time it is,
-- how many subscriptions are its own, and whether there are some to be had: free ones, or ones of a
-- worker that is gone.
SELECT p.*,
    extract(epoch FROM clock_timestamp())::double precision AS time,
    (SELECT count(*) FROM pubsubpull_subscription WHERE worker = {worker}) AS mine,
    EXISTS (SELECT FROM pubsubpull_subscription s JOIN pubsubpull_consumer c ON c.id = s.consumer_id
            WHERE s.worker IS NULL
                AND s.state = ANY({served})
                AND c.active
                AND c.may_subscribe)
    OR EXISTS (SELECT FROM pubsubpull_worker WHERE expires < clock_timestamp()) AS free
FROM pubsubpull_present() AS p
