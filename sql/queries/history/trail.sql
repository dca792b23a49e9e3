-- Return the trail of an object, newest first, as the JSON text of its items: the differences
-- column by column, and the user. A masked column never differs. A truncate has deleted the object
-- with all others; history/object.sql explains the order of truncates. Items beyond the size of a
-- page are left for the next page, and the last column says so.
SELECT count(*), min(id) FILTER (WHERE before < {size}),
       coalesce(string_agg(item, ',' ORDER BY id DESC) FILTER (WHERE fits AND before < {size}), ''),
       coalesce(bool_or(before >= {size}), false)
FROM (
    SELECT id, fits, item, sum(octet_length(item)) OVER (ORDER BY id DESC) - octet_length(item) AS before
    FROM (
    SELECT c.id, {fits} AS fits, json_build_object(
        'version', c.id,
        'op', {op},
        'at', to_json(c.at AT TIME ZONE 'UTC') #>> '{{}}' || 'Z',
        'changed', (
            SELECT coalesce(
                json_object_agg(name, json_build_array(c.old -> name, c.new -> name) ORDER BY name), '{{}}'
            )
            FROM jsonb_object_keys(coalesce(c.old, '{{}}') || coalesce(c.new, '{{}}')) AS name
            WHERE coalesce((c.old -> name)::text, 'null') <> coalesce((c.new -> name)::text, 'null')
                AND c.op <> 'X'),
        'request',
        (SELECT {request} FROM pubsubpull_request r WHERE r.id = c.request_id ORDER BY r.xid LIMIT 1)
    )::text AS item
    FROM (SELECT id, xid, at, model, op, key, request_id, {old} AS old, {new} AS new FROM (
        (
            SELECT *
            FROM pubsubpull_change
            WHERE model = {model}
                AND key::varchar(255) = {key}::varchar(255)
                AND key = {key}
                AND id < {before}
            ORDER BY id DESC
            LIMIT {limit}
        )
        UNION ALL
        (
            SELECT *
            FROM pubsubpull_change
            WHERE model = {model} AND key::varchar(255) IS NULL AND id < {before}
                AND id > (
                    SELECT min(id)
                    FROM pubsubpull_change
                    WHERE model = {model} AND key::varchar(255) = {key}::varchar(255) AND key = {key}
                )
            ORDER BY key::varchar(255) DESC, model DESC, id DESC
            LIMIT {limit}
        )
        ORDER BY id DESC
        LIMIT {limit}
    ) AS w OFFSET 0) AS c
) AS items) AS measured
