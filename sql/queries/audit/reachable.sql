-- The roles whose rights the role {role} has or may take, itself among them. A membership counts
-- that is not inherited, or is of its admin option alone: it can be had by a statement.
SELECT r.oid, r.rolname::text AS name FROM pg_roles r WHERE pg_has_role({role}, r.oid, 'MEMBER')
