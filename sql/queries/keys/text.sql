-- The text by which the log knows the key with this value.
SELECT pubsubpull_as_logged({value}) #>> '{{}}'
