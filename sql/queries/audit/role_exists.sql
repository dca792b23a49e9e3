-- Return true if a role of this name exists.
SELECT count(*) > 0 FROM pg_roles WHERE rolname = {role}
