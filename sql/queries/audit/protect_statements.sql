-- What makes the log append-only for the role {role}, or with {undo} takes that back: statements, in order. {owner} is who is to own the log from
-- then on, or NULL. What a role reads, and what it needs to deliver, it keeps; functions that write, or that take away, it loses.
WITH place AS (SELECT relnamespace::regnamespace::text AS schema FROM pg_class WHERE oid = 'pubsubpull_change'::regclass),
tables AS (
    SELECT c.oid::regclass::text AS name, c.relowner, c.relacl, c.relispartition FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'pubsubpull_change'::regclass)
      AND (c.relname IN ('pubsubpull_change', 'pubsubpull_request', 'pubsubpull_log', 'pubsubpull_history', 'pubsubpull_tick', 'pubsubpull_alive', 'pubsubpull_seal', 'pubsubpull_erasure', 'pubsubpull_import')
           OR c.oid IN (SELECT relid FROM pg_partition_tree('pubsubpull_change')))
),
functions AS (
    -- One that runs with the caller's rights can do no more than the caller; of the others these are needed to read, to deliver and to go on.
    SELECT p.oid::regprocedure::text AS name, NOT p.prosecdef OR p.proname IN (
        'pubsubpull_present', 'pubsubpull_settle', 'pubsubpull_finish_request', 'pubsubpull_annotate_request',
        'pubsubpull_make_partition') AS needed
    FROM pg_proc p
    WHERE p.proname LIKE 'pubsubpull\_%' AND p.pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'pubsubpull_change'::regclass)
),
-- Who else may write, of whom the role is one.
grantees AS (
    SELECT DISTINCT t.name, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
    FROM tables t CROSS JOIN LATERAL aclexplode(t.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.grantee <> t.relowner AND CASE WHEN a.grantee = 0 THEN true ELSE pg_has_role({role}, a.grantee, 'USAGE') END
)
SELECT statement FROM (
    SELECT 1, format('GRANT USAGE, CREATE ON SCHEMA %s TO %I', schema, {owner}) FROM place WHERE {owner}::text IS NOT NULL
    UNION ALL
    SELECT 2, format('ALTER TABLE %s OWNER TO %I', name, {owner}) FROM tables WHERE {owner}::text IS NOT NULL
    UNION ALL
    SELECT 3, format('ALTER FUNCTION %s OWNER TO %I', name, {owner}) FROM functions WHERE {owner}::text IS NOT NULL
    UNION ALL
    SELECT 4, format('REVOKE ALL ON %s FROM %s', name, grantee) FROM grantees WHERE NOT {undo}
    UNION ALL
    SELECT 5, format('GRANT SELECT ON %s TO %I', name, {role}) FROM tables WHERE NOT relispartition AND NOT {undo}
    UNION ALL
    SELECT 6, format('REVOKE ALL ON SEQUENCE %s.pubsubpull_change_id_seq FROM PUBLIC, %I', schema, {role}) FROM place WHERE NOT {undo}
    UNION ALL
    SELECT 7, format('GRANT SELECT ON SEQUENCE %s.pubsubpull_change_id_seq TO %I', schema, {role}) FROM place WHERE NOT {undo}
    UNION ALL
    SELECT 8, format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, %I', name, {role}) FROM functions WHERE NOT needed AND NOT {undo}
    UNION ALL
    SELECT 9, format('GRANT EXECUTE ON FUNCTION %s TO %I', name, {role}) FROM functions WHERE needed OR {undo}
    UNION ALL
    SELECT 10, format('GRANT ALL ON %s TO %I', name, {role}) FROM tables WHERE {undo}
    UNION ALL
    SELECT 11, format('GRANT ALL ON SEQUENCE %s.pubsubpull_change_id_seq TO %I', schema, {role}) FROM place WHERE {undo}
) AS s (place, statement) ORDER BY place, statement
