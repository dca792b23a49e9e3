-- Update the first {count} rows.
UPDATE {table} SET status = status || '!', updated = now() WHERE id <= (SELECT min(id) + {count} - 1 FROM {table})
