-- A request as JSON, from the row r.
json_build_object(
    'id', r.id, 'source', r.source, 'user_id', r.user_id, 'user_name', r.user_name, 'method', r.method,
    'path', r.path, 'route', r.route,
    'ip', r.ip, 'user_agent', r.user_agent, 'correlation_id', r.correlation_id,
    'traceparent', r.traceparent, 'tracestate', r.tracestate,
    'started', to_json(r.started AT TIME ZONE 'UTC') #>> '{{}}' || 'Z', 'duration', r.duration, 'status',
    r.status, 'metadata', r.metadata)
