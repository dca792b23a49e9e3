-- Return the staged changes of a model by the reason for leaving them out (NULL for those to
-- import): how many, how many of them the log has already, and the first and the last time.
-- MATERIALIZED: count the log's changes once, and not once for each staged change.
WITH there AS MATERIALIZED (
    SELECT key, at, op, count(*) AS n
    FROM pubsubpull_change
    WHERE id < 0 AND model = {label}
    GROUP BY key, at, op
)
SELECT i.why, count(*), count(*) FILTER (WHERE i.why IS NULL AND i.nth <= t.n), min(i.at), max(i.at)
FROM pubsubpull_import i LEFT JOIN there t ON t.key = i.key AND t.at = i.at AND t.op = i.op
WHERE i.model = {label} GROUP BY i.why
