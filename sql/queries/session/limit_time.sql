-- Bound the time of the following statements in this transaction, or in this message, unless they
-- have a shorter bound already.
SELECT set_config('statement_timeout', {limit}, true)
WHERE current_setting('statement_timeout')::interval NOT BETWEEN '1 microsecond' AND {limit}::interval
