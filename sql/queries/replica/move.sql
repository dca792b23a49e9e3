-- Moves replicas to the cursor after the page that has been applied.
UPDATE pubsubpull_replica SET cursor = {cursor}, state = 'following', attempts = 0, failing_since = NULL, next_attempt = NULL,
       last_error = '', applied = now()
WHERE name = ANY ({names})
