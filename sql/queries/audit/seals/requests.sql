-- Return requests as text: of each the row that readers take.
SELECT DISTINCT ON (r.id) r.id::text, r.xid::text, r.user_id, r.user_name, r.method, r.path, r.route, r.ip,
    r.user_agent, r.correlation_id,
    r.traceparent, r.tracestate, r.source, r.started::text, r.duration::text, r.status::text, r.metadata::text
FROM pubsubpull_request r WHERE r.id = ANY ({ids}::uuid[]) ORDER BY r.id, r.xid
