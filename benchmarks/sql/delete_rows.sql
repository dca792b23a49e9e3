-- Delete every row of the table in a single statement.
DELETE FROM {table}
