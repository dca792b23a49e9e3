-- Select the events about an object, which have its key: a part of the query for its changes.
UNION ALL (
    SELECT *
    FROM pubsubpull_change
    WHERE model = ANY({labels}) AND key::varchar(255) = {key}::varchar(255) AND key = {key} AND id < {before}
    ORDER BY id DESC
    LIMIT {most}
)
