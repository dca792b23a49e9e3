-- The latest change of an object, by the index of keys.
SELECT max(id)
FROM pubsubpull_change
WHERE model = {model} AND key::varchar(255) = {key}::varchar(255) AND key = {key}
