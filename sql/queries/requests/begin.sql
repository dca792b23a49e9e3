-- Begin a transaction with the isolation of a single statement, instead of the isolation that
-- psycopg would set.
BEGIN
