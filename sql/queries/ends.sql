-- The first and the last id of the log.
SELECT min(id), max(id) FROM pubsubpull_change
