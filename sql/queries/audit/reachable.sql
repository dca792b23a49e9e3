-- Return the roles whose rights the role {role} has or may take, itself among them. A membership
-- counts even if it is not inherited, or has the admin option only: a statement can turn it into
-- rights.
SELECT r.oid, r.rolname::text AS name FROM pg_roles r WHERE pg_has_role({role}, r.oid, 'MEMBER')
