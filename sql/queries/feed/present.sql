-- Return the present of the log, in a single round trip. Its columns are read by name.
SELECT * FROM pubsubpull_present()
