-- Update every row of the table in a single statement.
UPDATE {table} SET status = 'paid', updated = now()
