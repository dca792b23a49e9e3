-- Bound the wait for a lock in the rest of this transaction. Later statements of other sessions
-- queue behind a waiting lock, so they wait as long.
SET LOCAL lock_timeout = '500ms'
