-- Take the probe of a host that is due. The worker that gets a row back may try, and for some
-- seconds no other worker may.
UPDATE pubsubpull_host SET retry_at = clock_timestamp() + make_interval(secs => {seconds})
WHERE host = {host} AND retry_at <= clock_timestamp()
RETURNING host
