-- Return a query's result together with the id up to which the log had been deleted. A single
-- statement makes sure that a reader that misses a change sees this id.
SELECT l.dropped, q.*
FROM (SELECT (SELECT dropped FROM pubsubpull_log) AS dropped) AS l
LEFT JOIN ({query}) AS q ON true
