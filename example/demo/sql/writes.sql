-- Return each change of the shop's log after a version, with its time in unix seconds, for a server
-- without commit timestamps.
SELECT id, extract(epoch FROM at)::float8 FROM pubsubpull_change WHERE id > %(after)s ORDER BY id
