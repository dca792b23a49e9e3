-- Return changes of these ids as text, in order.
SELECT id, xid::text, at::text, model, op::text, key, request_id::text, old::text, new::text
FROM pubsubpull_change WHERE id = ANY ({ids}::bigint[]) ORDER BY id
