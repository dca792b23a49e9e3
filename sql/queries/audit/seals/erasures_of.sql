-- Return the erasures of some changes as text, in order.
SELECT id, change_id, model, key, op::text, columns::text, digest, remains, salt, erased::text, erased_by,
    reason
FROM pubsubpull_erasure WHERE change_id = ANY ({ids}::bigint[]) ORDER BY id
