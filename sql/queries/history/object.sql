-- Select the changes of an object by the index of keys. A truncate has deleted the object with all
-- others.
-- Truncates, which are few, are sorted in the order of that index and not only of ids: otherwise
-- the planner would read the whole log by the primary key until it has met enough of them.
SELECT -c.id AS place, c.id, {fits} AS fits FROM (
    (
        SELECT *
        FROM pubsubpull_change
        WHERE model = {model} AND key::varchar(255) = {key}::varchar(255) AND key = {key} AND id < {before}
        ORDER BY id DESC
        LIMIT {most}
    )
    {events}
    UNION ALL
    (SELECT * FROM pubsubpull_change WHERE model = {model} AND key::varchar(255) IS NULL AND id < {before}
         AND id > (
             SELECT min(id)
             FROM pubsubpull_change
             WHERE model = {model} AND key::varchar(255) = {key}::varchar(255) AND key = {key}
         )
     ORDER BY key::varchar(255) DESC, model DESC, id DESC LIMIT {most})
) AS c ORDER BY c.id DESC LIMIT {most}
