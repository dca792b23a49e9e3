-- The roles within reach that may set by what triggers are passed by. PostgreSQL has such rights
-- from version 15 on.
WITH reachable AS ({reachable})
SELECT name FROM reachable WHERE has_parameter_privilege(oid, 'session_replication_role', 'SET') ORDER BY name
