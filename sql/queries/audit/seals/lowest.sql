-- Return the first captured and the first imported change; without one, an id beyond all possible
-- changes.
SELECT coalesce((SELECT min(id) FROM pubsubpull_change WHERE id > 0), 9223372036854775807),
    coalesce((SELECT min(id) FROM pubsubpull_change WHERE id < 0), 0)
