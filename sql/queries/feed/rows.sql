-- Return a page change by change, for readers that serve several subscribers from it.
-- Each change has the trace of its request, if any: the parent and, after a space, the state. The
-- last column is true if a page was cut after this change because more would be too large.
SELECT id, model, {letter}, {item} AS item, (
    SELECT r.traceparent || coalesce(' ' || r.tracestate, '') FROM pubsubpull_request r
    WHERE r.id = w.request_id AND r.traceparent IS NOT NULL ORDER BY r.xid LIMIT 1) AS trace, {cut} AS cut
FROM ({window}) AS w ORDER BY id
