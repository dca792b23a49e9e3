-- Select the changes of a request, by the index of requests.
SELECT -c.id AS place, c.id, {fits} AS fits FROM pubsubpull_change c
WHERE c.request_id = {request} AND c.id < {before} ORDER BY c.id DESC LIMIT {most}
