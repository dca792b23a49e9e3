-- How many changes of an object the log has, and how many of them are erased already.
SELECT count(*), count(*) FILTER (WHERE op = 'E') FROM pubsubpull_change WHERE model = {model} AND key = {key}
