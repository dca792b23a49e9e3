-- Return the sessions of this database.
SELECT pid FROM pg_stat_activity WHERE datname = current_database()
