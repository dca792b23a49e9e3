-- Return how far the log may be sealed, how far retention has deleted it (up to `dropped`, and
-- imported changes below `past`), and how far the chain has come.
-- The latter is its last seal, the last ids of its changes and erasures, its last record of
-- retention, and its first imported id.
SELECT greatest(l.settled, l.restored) AS until, l.dropped,
    coalesce((SELECT min(id) FROM pubsubpull_change WHERE id < 0), 0) AS past,
    coalesce((SELECT max(id) FROM pubsubpull_seal), 0) AS last,
    coalesce((SELECT hash FROM pubsubpull_seal ORDER BY id DESC LIMIT 1), '') AS hash,
    coalesce((SELECT max(last_id) FROM pubsubpull_seal WHERE kind = 'changes'), 0) AS changes,
    coalesce((SELECT max(last_id) FROM pubsubpull_seal WHERE kind = 'erasures'), 0) AS erasures,
    coalesce((SELECT max(last_id) FROM pubsubpull_seal WHERE kind = 'retention'), 0) AS gone,
    coalesce((SELECT first_id FROM pubsubpull_seal WHERE kind = 'retention' ORDER BY id DESC LIMIT 1),
        (SELECT min(first_id) FROM pubsubpull_seal WHERE kind = 'imported')) AS gone_past
FROM pubsubpull_log l
