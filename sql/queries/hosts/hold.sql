-- Keep all workers from trying a host for some seconds.
UPDATE pubsubpull_host SET retry_at = clock_timestamp() + make_interval(secs => {seconds}) WHERE host = {host}
