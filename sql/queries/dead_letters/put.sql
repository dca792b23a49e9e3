-- Sets a change aside and moves the cursor past it, both or neither; nothing where the worker holds
-- the subscription no more. A change that had been set aside before a crash is set aside once. Its
-- receiver is told of no cursor.
WITH moved AS (
    UPDATE pubsubpull_subscription
    SET cursor = {cursor}, initial = {initial}, state = 'active', attempts = 0, failing_since = NULL,
        next_attempt = NULL, last_error = ''
    WHERE id = {id} AND worker = {worker} AND lease = {lease}
    RETURNING id
)
INSERT INTO pubsubpull_failure AS f (
    subscription_id, version, model, op, item, attempts, status, answer, error, wanted
)
SELECT id, {version}, {model}, {op}, {item}, {attempts}, {status}::int, {answer}, {error}, false FROM moved
ON CONFLICT (subscription_id, version) DO UPDATE
SET attempts = excluded.attempts, tried = clock_timestamp(), status = excluded.status,
    answer = excluded.answer, error = excluded.error
RETURNING f.id
