-- The functions in the log's schema with a name as ours, and whether the application needs them: one that runs with the caller's rights can do no
-- more than the caller; of the others these are needed to read, to deliver and to go on.
SELECT p.oid, p.oid::regprocedure::text AS name, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl,
    NOT p.prosecdef OR p.proname IN (
        'pubsubpull_present', 'pubsubpull_settle', 'pubsubpull_finish_request', 'pubsubpull_annotate_request', 'pubsubpull_make_partition') AS needed
FROM pg_proc p
WHERE p.proname LIKE 'pubsubpull\_%' AND p.pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'pubsubpull_change'::regclass)
