-- Every row of the table in one statement.
DELETE FROM {table}
