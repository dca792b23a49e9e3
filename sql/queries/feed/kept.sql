-- What a query gives, beside the id up to which the log was gone then: in one statement, so that
-- whoever does not find a change finds this.
SELECT l.dropped, q.*
FROM (SELECT (SELECT dropped FROM pubsubpull_log) AS dropped) AS l
LEFT JOIN ({query}) AS q ON true
