-- Return the erasures between two ids as text, in order, at most {at_most}.
SELECT id, change_id, model, key, op::text, columns::text, digest, remains, salt, erased::text, erased_by,
    reason
FROM pubsubpull_erasure WHERE id BETWEEN {low} AND {high} ORDER BY id LIMIT {at_most}
