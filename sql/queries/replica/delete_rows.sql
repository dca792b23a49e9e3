-- Begin a statement that deletes rows of a replica.
DELETE FROM {target} t