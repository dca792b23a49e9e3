-- Return the start of a change's request.
SELECT r.started
FROM pubsubpull_change c
JOIN pubsubpull_request r ON r.id = c.request_id
WHERE c.id = {id}
ORDER BY r.xid
LIMIT 1
