-- Return the version of the last change. There is no other writer, so the versions before it have
-- no gap.
SELECT max(id) FROM pubsubpull_change
