-- The time of the oldest change that the log has.
SELECT extract(epoch FROM at)::double precision
FROM pubsubpull_change
WHERE id > {dropped}
ORDER BY id
LIMIT 1
