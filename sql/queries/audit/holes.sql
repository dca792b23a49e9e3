-- Return the ways in which the role {role} may still change the log, or run its own code with the
-- rights of the log's owner: the kind, the object, and the role or thing that permits it.
-- Superusers are left out, since they may do everything.
WITH RECURSIVE tables AS ({tables}), functions AS ({functions}), reachable AS ({reachable}),
log AS (
    SELECT c.relowner AS owner, n.oid AS schema, n.nspname::text AS name, n.nspowner
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = 'pubsubpull_change'::regclass
),
captured AS (
    SELECT DISTINCT c.oid, c.oid::regclass::text AS place, c.relowner
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_proc p ON p.oid = t.tgfoid
    JOIN log l ON l.schema = p.pronamespace
    WHERE p.proname LIKE 'pubsubpull\_%'
),
-- The types of columns, and the types these consist of.
types AS (
    SELECT a.atttypid AS oid
    FROM captured c
    JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT part.oid FROM types t JOIN pg_type y ON y.oid = t.oid CROSS JOIN LATERAL (
        SELECT y.typelem UNION ALL SELECT y.typbasetype
        UNION ALL
        SELECT a.atttypid
        FROM pg_attribute a
        WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = y.oid
    ) AS part (oid) WHERE part.oid <> 0
),
-- The parts of the log's tables that may call a function when a row is written: columns, defaults,
-- constraints, indexes.
expressions AS (
    SELECT 'pg_class'::regclass AS class, t.oid, t.place FROM tables t
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid, t.place
    FROM pg_attrdef d
    JOIN tables t ON t.oid = d.adrelid
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid, t.place
    FROM pg_constraint k
    JOIN tables t ON t.oid = k.conrelid
    UNION ALL
    SELECT 'pg_class'::regclass, i.indexrelid, t.place
    FROM pg_index i
    JOIN tables t ON t.oid = i.indrelid
)
SELECT kind, object, by FROM (
    SELECT 1, 'superuser', r.name, r.name FROM reachable r JOIN pg_roles g ON g.oid = r.oid WHERE g.rolsuper
    UNION ALL
    SELECT 2, 'member', r.name, r.name FROM reachable r
    WHERE r.name IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program')
    UNION ALL
    SELECT 3, 'createrole', r.name, r.name FROM reachable r JOIN pg_roles g ON g.oid = r.oid
    WHERE g.rolcreaterole AND current_setting('server_version_num')::integer < 160000
    UNION ALL
    SELECT 4, 'owner', t.name, r.name FROM tables t JOIN reachable r ON r.oid = t.relowner
    UNION ALL
    SELECT 5, 'owner', f.name, r.name FROM functions f JOIN reachable r ON r.oid = f.proowner
    UNION ALL
    SELECT 6, 'schema owner', l.name, r.name FROM log l JOIN reachable r ON r.oid = l.nspowner
    UNION ALL
    SELECT 7, 'database owner', d.datname::text, r.name
    FROM pg_database d
    JOIN reachable r ON r.oid = d.datdba
    WHERE d.datname = current_database()
    UNION ALL
    -- Functions of the log's schema, and of the schemas on the search path of this session: an
    -- administrator of the log is likely to have the same path.
    SELECT 8, 'create', n.nspname::text, coalesce(r.name, 'PUBLIC')
    FROM log l JOIN pg_namespace n ON n.oid = l.schema OR n.nspname = ANY (current_schemas(false))
    CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
    LEFT JOIN reachable r ON r.oid = a.grantee
    WHERE a.privilege_type = 'CREATE'
        AND (a.grantee = 0 OR r.oid IS NOT NULL)
        AND (n.oid <> l.schema OR a.grantee <> l.nspowner)
    UNION ALL
    SELECT 9, 'sequence', 'pubsubpull_change_id_seq', r.name FROM reachable r
    WHERE has_sequence_privilege(r.oid, 'pubsubpull_change_id_seq'::regclass, 'USAGE, UPDATE')
    UNION ALL
    SELECT 10, 'call', f.name, r.name FROM functions f CROSS JOIN reachable r
    WHERE NOT f.needed AND r.oid <> f.proowner AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
    UNION ALL
    SELECT 11, 'captured', c.place, r.name FROM captured c JOIN reachable r ON r.oid = c.relowner
    UNION ALL
    SELECT 12, 'type', y.oid::regtype::text, r.name
    FROM types t
    JOIN pg_type y ON y.oid = t.oid
    JOIN reachable r ON r.oid = y.typowner
    UNION ALL
    SELECT 13, 'cast',
        format('(%s AS %s)', k.castsource::regtype, k.casttarget::regtype),
        p.oid::regprocedure::text
    FROM types t
    JOIN pg_cast k ON k.castsource = t.oid
    JOIN pg_proc p ON p.oid = k.castfunc
    JOIN reachable r ON r.oid = p.proowner
    UNION ALL
    SELECT 14, 'trigger', t.place, g.tgname::text
    FROM pg_trigger g
    JOIN tables t ON t.oid = g.tgrelid
    WHERE NOT g.tgisinternal
    UNION ALL
    -- A trigger made while its maker could call the function goes on writing any text to the log.
    SELECT 14, 'trigger', g.tgrelid::regclass::text, g.tgname::text
    FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid JOIN log l ON l.schema = p.pronamespace
    WHERE NOT g.tgisinternal AND p.proname LIKE 'pubsubpull\_%' AND g.tgname NOT LIKE '00\_pubsubpull\_%'
    UNION ALL
    SELECT 14, 'rule', t.place, w.rulename::text FROM pg_rewrite w JOIN tables t ON t.oid = w.ev_class
    UNION ALL
    SELECT 14, 'policy', t.place, p.polname::text FROM pg_policy p JOIN tables t ON t.oid = p.polrelid
    UNION ALL
    SELECT 14, 'expression', e.place, pg_describe_object(d.refclassid, d.refobjid, 0)
    FROM expressions e JOIN pg_depend d ON d.classid = e.class AND d.objid = e.oid
    WHERE d.refclassid IN (
        'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_type'::regclass
    )
    UNION ALL
    SELECT 14, 'foreign key', t.place, k.conrelid::regclass::text
    FROM pg_constraint k
    JOIN tables t ON t.oid = k.confrelid
    WHERE k.contype = 'f'
) AS found (place, kind, object, by) ORDER BY place, object, by
