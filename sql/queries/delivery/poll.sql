-- Return all that a worker polls for, in a single round trip: the present of the log, the time, the
-- number of its subscriptions, and whether there are subscriptions to claim: free ones, or those of
-- an expired worker.
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
