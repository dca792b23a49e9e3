-- Return true if the log's owner is a superuser. The log's functions run with the owner's rights.
SELECT r.rolsuper
FROM pg_class c
JOIN pg_roles r ON r.oid = c.relowner
WHERE c.oid = 'pubsubpull_change'::regclass
