-- Return a request, its changes of the given models, and the version to go on after if there are
-- more.
SELECT json_build_object(
    'request', {request}, 'changes', changes, 'next', CASE WHEN n = {limit} OR cut THEN last END
)::text,
    n
FROM (SELECT * FROM pubsubpull_request WHERE id = {id} ORDER BY xid LIMIT 1) AS r CROSS JOIN (
    SELECT count(*) AS n, max(id) FILTER (WHERE before < {size}) AS last,
        coalesce(bool_or(before >= {size}), false) AS cut,
           coalesce(json_agg(item::json ORDER BY id) FILTER (WHERE before < {size}), '[]') AS changes
    FROM (SELECT id, item, sum(octet_length(item)) OVER (ORDER BY id) - octet_length(item) AS before FROM (
        SELECT id, {item} AS item FROM (
            SELECT id, xid, at, model, op, key, request_id, {old} AS old, {new} AS new FROM pubsubpull_change
            WHERE request_id = {id} AND id > {after} AND model = ANY({models}::text[])
            ORDER BY id
            LIMIT {limit}) AS c
    ) AS items) AS measured
) AS made
