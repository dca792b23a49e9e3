-- Return the first and the last captured change, the last imported change, and the ids of two
-- moments in the imported past.
SELECT f.id, f.at, l.id, l.at, (SELECT max(id) FROM pubsubpull_change WHERE id < 0),
    pubsubpull_past_id({since}::timestamptz), pubsubpull_past_id({until}::timestamptz)
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (SELECT id, at FROM pubsubpull_change WHERE id > 0 ORDER BY id LIMIT 1) AS f ON true
LEFT JOIN LATERAL (SELECT id, at FROM pubsubpull_change WHERE id > 0 ORDER BY id DESC LIMIT 1) AS l ON true
