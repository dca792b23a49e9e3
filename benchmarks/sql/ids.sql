-- The rows of a table above an id.
SELECT id FROM {table} WHERE id > {last}
