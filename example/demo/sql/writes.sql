-- Each change of the shop's log after a version, and when it was written, in unix seconds; where commits' times are not kept.
SELECT id, extract(epoch FROM at)::float8 FROM pubsubpull_change WHERE id > %(after)s ORDER BY id
