-- Return true if row level security hides rows of a table from this role.
SELECT row_security_active({relation}::regclass)
