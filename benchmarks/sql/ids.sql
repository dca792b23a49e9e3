-- Return the ids of a table's rows above an id.
SELECT id FROM {table} WHERE id > {last}
