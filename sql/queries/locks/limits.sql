-- How long the session waits for a lock, and for a statement to end.
SELECT current_setting('lock_timeout'), current_setting('statement_timeout')
