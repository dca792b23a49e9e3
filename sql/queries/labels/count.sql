-- Return how many changes of a model the log has, and how many of them are sealed themselves or by
-- the record of an erasure.
SELECT count(*),
    count(*) FILTER (
        WHERE id BETWEEN 1 AND coalesce((SELECT max(last_id) FROM pubsubpull_seal WHERE kind = 'changes'), 0)
            OR id < 0 AND EXISTS (
                SELECT FROM pubsubpull_seal s WHERE s.kind = 'imported' AND c.id = ANY (s.ids)
            )
            OR op IN ('E', 'X') AND EXISTS (
                SELECT
                FROM pubsubpull_erasure e
                WHERE e.change_id = c.id
                    AND e.id <= (SELECT max(last_id) FROM pubsubpull_seal WHERE kind = 'erasures')
            )
    )
FROM pubsubpull_change c
WHERE model = {label}
