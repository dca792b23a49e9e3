-- Record that the worker is alive for some seconds from now.
INSERT INTO pubsubpull_worker (id, name, expires)
VALUES ({worker}, {name}, clock_timestamp() + make_interval(secs => {lease}))
ON CONFLICT (id) DO UPDATE SET expires = excluded.expires
