-- Return the captured changes between two ids as text, in order, at most {at_most}.
SELECT id, xid::text, at::text, model, op::text, key, request_id::text, old::text, new::text
FROM pubsubpull_change WHERE id BETWEEN {low} AND {high} ORDER BY id LIMIT {at_most}
