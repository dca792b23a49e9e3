-- The present of the log, of which only the tick is looked at.
SELECT tick FROM pubsubpull_present()
