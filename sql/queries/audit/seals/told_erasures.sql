-- Return the erasures since the erasure {after}, by object and columns (NULL: whole rows): the
-- number of changes, the time, the user and the reason.
SELECT model, key, columns::text[], count(*), max(erased)::text, erased_by, reason
FROM pubsubpull_erasure
WHERE id > {after}
GROUP BY model, key, columns, erased_by, reason ORDER BY max(id) LIMIT {at_most}
