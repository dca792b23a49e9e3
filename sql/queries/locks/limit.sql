-- Bound the transaction's wait for a lock, and the time of a statement.
SELECT set_config('lock_timeout', {lock}, true), set_config('statement_timeout', {statement}, true)
