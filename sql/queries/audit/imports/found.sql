-- What was found of a model, by why it is not brought in, NULL where it is; how much of that the
-- log has already; and from when until when it is.
WITH there AS MATERIALIZED (
    SELECT key, at, op, count(*) AS n
    FROM pubsubpull_change
    WHERE id < 0 AND model = {label}
    GROUP BY key, at, op
)
SELECT i.why, count(*), count(*) FILTER (WHERE i.why IS NULL AND i.nth <= t.n), min(i.at), max(i.at)
FROM pubsubpull_import i LEFT JOIN there t ON t.key = i.key AND t.at = i.at AND t.op = i.op
WHERE i.model = {label} GROUP BY i.why
