-- What was erased since the erasure {after}, by object and columns (NULL: whole rows): of how many
-- changes, when, by whom and why.
SELECT model, key, columns::text[], count(*), max(erased)::text, erased_by, reason
FROM pubsubpull_erasure
WHERE id > {after}
GROUP BY model, key, columns, erased_by, reason ORDER BY max(id) LIMIT {at_most}
