-- Begins a transaction as one statement by itself would, whatever isolation psycopg would ask for.
BEGIN
