-- Return the reachable roles that may set parameters that bypass triggers. PostgreSQL has such
-- rights from version 15 on.
WITH reachable AS ({reachable})
SELECT name FROM reachable WHERE has_parameter_privilege(oid, 'session_replication_role', 'SET') ORDER BY name
