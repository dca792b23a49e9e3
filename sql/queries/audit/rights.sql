-- What the role {role} may do on each table of the log: whether it owns it, or is a member of who
-- does, and by right, its own, a group's or everybody's.
WITH tables AS ({tables}), reachable AS ({reachable})
SELECT t.name, pg_get_userbyid(t.relowner)::text, pg_has_role({role}, t.relowner, 'MEMBER'), t.relispartition,
    ARRAY(
        SELECT p
        FROM unnest(ARRAY[
            'SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'
        ]) WITH ORDINALITY AS u (p, i)
        WHERE EXISTS (
            SELECT
            FROM reachable r
            WHERE has_table_privilege(r.oid, t.oid, p)
                OR p IN ('INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(r.oid, t.oid, p)
        )
        ORDER BY i
    )
FROM tables t ORDER BY t.relispartition, t.name
