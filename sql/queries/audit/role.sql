-- Return true if a role is a superuser.
SELECT rolsuper FROM pg_roles WHERE rolname = {role}
