-- Return what is known of an object: how many changes the log has, how many of them are erased
-- already, by how many requests they were made, how many staged changes of an import are not in the
-- log yet, and how many dead letters subscriptions have.
SELECT count(*), count(*) FILTER (WHERE op IN ('E', 'X')), count(DISTINCT request_id),
    (SELECT count(*) FROM pubsubpull_import WHERE model = {model} AND key = {key}),
    (SELECT count(*) FROM pubsubpull_failure WHERE model = {model} AND item::json ->> 'key' = {key})
FROM pubsubpull_change WHERE model = {model} AND key::varchar(255) = {key}::varchar(255) AND key = {key}
