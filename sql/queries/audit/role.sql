-- What a role is by itself: whether it is a superuser, and whether it has, or may take, the rights of the owner of the log's schema or of its database.
SELECT r.rolsuper, n.nspname::text, pg_has_role(r.oid, n.nspowner, 'MEMBER'), d.datname::text, pg_has_role(r.oid, d.datdba, 'MEMBER'),
    ARRAY(SELECT g.rolname::text FROM pg_roles g WHERE g.rolname = 'pg_write_all_data' AND pg_has_role(r.oid, g.oid, 'MEMBER'))
FROM pg_roles r, pg_namespace n, pg_database d
WHERE r.rolname = {role} AND d.datname = current_database()
  AND n.oid = (SELECT relnamespace FROM pg_class WHERE oid = 'pubsubpull_change'::regclass)
