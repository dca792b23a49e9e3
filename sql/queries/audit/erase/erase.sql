-- Erase an object's rows from the log, and record each erasure. Return how many changes were
-- erased.
SELECT pubsubpull_erase({model}, {key}, {key_columns}::text[], {by}, {reason})
