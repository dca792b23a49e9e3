-- Make a change a dead letter and move the cursor past it, both or neither; nothing if the lease is
-- lost. A change that became a dead letter before a crash becomes one only once.
WITH moved AS (
    {moved}
)
INSERT INTO pubsubpull_failure AS f
    (subscription_id, version, model, op, item, attempts, status, answer, error, retrying)
SELECT id, {version}, {model}, {op}, {item}, {attempts}, {status}::int, {answer}, {error}, false FROM moved
ON CONFLICT (subscription_id, version) DO UPDATE
SET attempts = excluded.attempts, tried = clock_timestamp(), status = excluded.status,
    answer = excluded.answer, error = excluded.error
RETURNING f.id
