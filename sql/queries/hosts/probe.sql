-- Takes the probe of a host that is due: who gets a row back may try, and for so many seconds
-- nobody else.
UPDATE pubsubpull_host SET retry_at = clock_timestamp() + make_interval(secs => {seconds})
WHERE host = {host} AND retry_at <= clock_timestamp()
RETURNING host
