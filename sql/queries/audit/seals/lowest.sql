-- The first captured and the first imported change that there is; beyond all that there can be
-- where there is none.
SELECT coalesce((SELECT min(id) FROM pubsubpull_change WHERE id > 0), 9223372036854775807),
    coalesce((SELECT min(id) FROM pubsubpull_change WHERE id < 0), 0)
