-- Lets the transaction wait so long for a lock, and for a statement to end.
SELECT set_config('lock_timeout', {lock}, true), set_config('statement_timeout', {statement}, true)
