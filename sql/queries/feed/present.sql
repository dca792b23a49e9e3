-- The present of the log, in one round trip. Its columns are read by name.
SELECT * FROM pubsubpull_present()
