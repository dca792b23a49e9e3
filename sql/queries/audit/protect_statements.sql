-- Return the statements, in order, that make the log append-only for the role {role}, or with
-- {undo} revert that. {owner} is the log's future owner, or NULL.
-- The role keeps the rights to read and to deliver. It loses functions that write or delete, and so
-- do PUBLIC and the groups through which it would still have them.
WITH tables AS ({tables}), functions AS ({functions}), reachable AS ({reachable}),
place AS (
    SELECT relnamespace::regnamespace::text AS schema FROM pg_class WHERE oid = 'pubsubpull_change'::regclass
),
sequence AS (
    SELECT oid::regclass::text AS name, relowner, coalesce(relacl, acldefault('s', relowner)) AS acl
    FROM pg_class
    WHERE oid = 'pubsubpull_change_id_seq'::regclass
),
granted AS (
    SELECT 'TABLE' AS kind, t.name, t.place AS object, t.relowner AS owner, t.relacl AS acl FROM tables t
    UNION ALL SELECT 'SEQUENCE', name, name, relowner, acl FROM sequence
    UNION ALL SELECT 'FUNCTION', name, name, proowner, acl FROM functions WHERE NOT needed
),
grantees AS (
    SELECT DISTINCT g.kind, g.object, coalesce(quote_ident(r.name), 'PUBLIC') AS grantee
    FROM granted g CROSS JOIN LATERAL aclexplode(g.acl) AS a LEFT JOIN reachable r ON r.oid = a.grantee
    WHERE a.grantee <> g.owner AND (a.grantee = 0 OR r.oid IS NOT NULL)
)
SELECT statement FROM (
    SELECT 1, format('GRANT USAGE, CREATE ON SCHEMA %s TO %I', schema, {owner})
    FROM place
    WHERE {owner}::text IS NOT NULL
    UNION ALL
    SELECT 2, format('ALTER TABLE %s OWNER TO %I', place, {owner}) FROM tables WHERE {owner}::text IS NOT NULL
    UNION ALL
    SELECT 3, format('ALTER FUNCTION %s OWNER TO %I', name, {owner})
    FROM functions
    WHERE {owner}::text IS NOT NULL
    UNION ALL
    SELECT 4, format('REVOKE ALL ON %s %s FROM %s', kind, object, grantee) FROM grantees WHERE NOT {undo}
    UNION ALL
    SELECT 4, format('REVOKE CREATE ON SCHEMA %s FROM %I', schema, {role}) FROM place
    WHERE NOT {undo} AND EXISTS (
        SELECT
        FROM pg_namespace n
        CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
        JOIN pg_roles r ON r.oid = a.grantee
        WHERE n.oid = (SELECT relnamespace FROM pg_class WHERE oid = 'pubsubpull_change'::regclass)
            AND r.rolname = {role}
            AND a.privilege_type = 'CREATE')
    UNION ALL
    SELECT 5, format('GRANT SELECT ON TABLE %s TO %I', place, {role})
    FROM tables
    WHERE NOT relispartition AND NOT {undo}
    UNION ALL
    SELECT 6, format('GRANT SELECT ON SEQUENCE %s TO %I', name, {role}) FROM sequence WHERE NOT {undo}
    UNION ALL
    SELECT 7, format('GRANT EXECUTE ON FUNCTION %s TO %I', name, {role}) FROM functions WHERE needed OR {undo}
    UNION ALL
    SELECT 8, format('GRANT ALL ON TABLE %s TO %I', place, {role}) FROM tables WHERE {undo}
    UNION ALL
    SELECT 9, format('GRANT ALL ON SEQUENCE %s TO %I', name, {role}) FROM sequence WHERE {undo}
) AS s (place, statement) ORDER BY place, statement
