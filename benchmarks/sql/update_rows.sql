-- Every row of the table in one statement.
UPDATE {table} SET status = 'paid', updated = now()
