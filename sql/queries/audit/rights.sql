-- Return the rights of the role {role} on each table of the log: whether it is the owner or a
-- member of the owner, and each right, be it its own, a group's or PUBLIC's.
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
