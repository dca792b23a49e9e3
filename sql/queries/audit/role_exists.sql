-- Whether there is a role of this name.
SELECT count(*) > 0 FROM pg_roles WHERE rolname = {role}
