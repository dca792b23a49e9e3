-- Insert {count} rows in a single statement.
INSERT INTO {table} (customer, email, total, status, quantity, notes)
SELECT 'Customer ' || g, 'c' || g || '@example.com', g * 1.1, 'new', g % 10, repeat('lorem ipsum ', 8) FROM generate_series(1, {count}) AS g
