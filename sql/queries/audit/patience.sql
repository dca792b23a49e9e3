-- Lets what follows in this transaction wait for a lock no longer than this: whoever comes after it
-- waits as long.
SET LOCAL lock_timeout = '500ms'
