-- Takes the probe of a host, if it is due: the worker that gets a row back may try the host, and no
-- other worker for so many seconds.
UPDATE pubsubpull_host SET retry_at = clock_timestamp() + make_interval(secs => {seconds})
WHERE host = {host} AND retry_at <= clock_timestamp()
RETURNING host
