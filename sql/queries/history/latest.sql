-- The last change that may have left an object as it is, by the index of keys: one of its own, or
-- one of all rows of its model since the log knows the object, a truncate or an uncaptured.
-- Those, which are few, are put in the order of that index: see object.sql.
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
