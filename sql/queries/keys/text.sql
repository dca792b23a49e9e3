-- Return the log's text of the key with this value.
SELECT pubsubpull_as_logged({value}) #>> '{{}}'
