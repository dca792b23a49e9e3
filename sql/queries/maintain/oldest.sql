-- Return the time of the log's oldest change.
SELECT extract(epoch FROM at)::double precision
FROM pubsubpull_change
WHERE id > {dropped}
ORDER BY id
LIMIT 1
