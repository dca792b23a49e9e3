-- Undoes what goes with its table by itself.
SELECT NULL;
