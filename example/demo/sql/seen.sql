-- The shop's log after a version: how many changes, and the last of them.
SELECT count(*), coalesce(max(id), %(after)s) FROM pubsubpull_change WHERE id > %(after)s
