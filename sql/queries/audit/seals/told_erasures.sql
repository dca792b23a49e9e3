-- What was erased since the erasure {after}, by object: how many changes, when, by whom and why.
SELECT model, key, count(*), max(erased)::text, erased_by, reason FROM pubsubpull_erasure WHERE id > {after}
GROUP BY model, key, erased_by, reason ORDER BY max(id) LIMIT {at_most}
