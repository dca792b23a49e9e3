-- Return each change of the shop's log after a version, with the time of its commit in unix
-- seconds.
SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xid::xid))::float8 FROM pubsubpull_change WHERE id > %(after)s ORDER BY id
