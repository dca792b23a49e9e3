-- Return the session's bounds on the wait for a lock and on the time of a statement.
SELECT current_setting('lock_timeout'), current_setting('statement_timeout')
