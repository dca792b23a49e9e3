-- Return the tick of the log's present.
SELECT tick FROM pubsubpull_present()
