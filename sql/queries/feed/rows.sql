-- A page change by change, for readers that give each of several subscribers its own part of it.
-- With each goes the trace of its request, where that has one: its parent and, after a space, its
-- state. Last is whether a page was cut after this change, as more would be too large.
SELECT id, model, {letter}, {item} AS item, (
    SELECT r.traceparent || coalesce(' ' || r.tracestate, '') FROM pubsubpull_request r
    WHERE r.id = w.request_id AND r.traceparent IS NOT NULL ORDER BY r.xid LIMIT 1) AS trace, {cut} AS cut
FROM ({window}) AS w ORDER BY id
