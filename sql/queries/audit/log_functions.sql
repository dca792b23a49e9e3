-- Return the functions in the log's schema with a name of ours, with two flags: the application
-- needs it to read, deliver or resume; the application may call it. It may also call every function
-- with its caller's rights, which can do no more than the caller.
SELECT p.oid, p.oid::regprocedure::text AS name, p.proowner,
    coalesce(p.proacl, acldefault('f', p.proowner)) AS acl, s.serves,
    NOT p.prosecdef OR s.serves AS needed
FROM pg_proc p CROSS JOIN LATERAL (SELECT p.proname IN (
    'pubsubpull_present', 'pubsubpull_settle', 'pubsubpull_finish_request', 'pubsubpull_annotate_request',
    'pubsubpull_make_partition', 'pubsubpull_uncapture', 'pubsubpull_emit') AS serves) AS s
WHERE p.proname LIKE 'pubsubpull\_%'
    AND p.pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'pubsubpull_change'::regclass)
