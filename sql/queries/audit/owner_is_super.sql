-- Whether the log's owner, with whose rights its functions run, is a superuser.
SELECT r.rolsuper
FROM pg_class c
JOIN pg_roles r ON r.oid = c.relowner
WHERE c.oid = 'pubsubpull_change'::regclass
