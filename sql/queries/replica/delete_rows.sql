-- Begins what deletes rows of a replica.
DELETE FROM {target} t