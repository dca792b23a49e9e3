-- Update a single row to another state.
UPDATE {table} SET status = {status}, updated = now() WHERE id = {id}
