-- Return the number of changes in the shop's log after a version, and the last of them.
SELECT count(*), coalesce(max(id), %(after)s) FROM pubsubpull_change WHERE id > %(after)s
