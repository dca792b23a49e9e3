-- Return the hosts that do not answer, with seconds by the database's clock. Delete the hosts
-- untried for a day.
WITH old AS (DELETE FROM pubsubpull_host WHERE began < clock_timestamp() - interval '1 day')
SELECT host, failures, extract(epoch FROM clock_timestamp() - began)::double precision,
    extract(epoch FROM retry_at - clock_timestamp())::double precision, error
FROM pubsubpull_host WHERE began >= clock_timestamp() - interval '1 day'
