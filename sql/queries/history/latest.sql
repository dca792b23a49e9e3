-- Return the last change that may have left an object in its present state, by the index of keys: a
-- change of its own, or a truncate or an uncaptured of its model since the log knows the object.
-- Changes of whole models, which are few, are sorted in the order of that index: see object.sql.
SELECT greatest(own.last, whole.last)
FROM (
    SELECT min(id) AS first, max(id) AS last
    FROM pubsubpull_change
    WHERE model = {model} AND key::varchar(255) = {key}::varchar(255) AND key = {key}
) AS own LEFT JOIN LATERAL (
    SELECT id AS last FROM pubsubpull_change
    WHERE model = {model} AND key::varchar(255) IS NULL AND id > own.first
    ORDER BY key::varchar(255) DESC, model DESC, id DESC
    LIMIT 1
) AS whole ON true
