-- Return the changes that decide an object's state at a moment: its last change up to it, among the
-- latest {most} below {ceiling}; the last truncate up to it; its first change after it; and the
-- first record after it that capture was off. Each comes with a flag for more changes than those
-- read.
-- Truncates are sorted in the order of the index of keys: see history/object.sql.
-- MATERIALIZED: run each search once. The parts of the union read its result several times.
WITH past AS MATERIALIZED (
    SELECT id
    FROM (
        SELECT id, at
        FROM pubsubpull_change
        WHERE model = {model} AND key::varchar(255) = {key}::varchar(255) AND key = {key} AND id < {ceiling}
        ORDER BY id DESC
        LIMIT {most}
    ) AS recent
    WHERE at <= {moment} LIMIT 1
),
looked AS MATERIALIZED (
    SELECT count(*) >= {most} AS more
    FROM (
        SELECT id
        FROM pubsubpull_change
        WHERE model = {model} AND key::varchar(255) = {key}::varchar(255) AND key = {key} AND id < {ceiling}
        ORDER BY id DESC
        LIMIT {most}
    ) AS recent
    WHERE NOT EXISTS (SELECT FROM past)
)
SELECT looked.more, true, c.id, c.op::text, ({c_old})::text, ({c_new})::text
FROM looked, pubsubpull_change c
WHERE c.id = (SELECT id FROM past)
UNION ALL
(SELECT (SELECT more FROM looked), true, id, op::text, ({old})::text, ({new})::text FROM pubsubpull_change
 WHERE model = {model} AND key::varchar(255) IS NULL AND at <= {moment}
 ORDER BY key::varchar(255) DESC, model DESC, id DESC
 LIMIT 1)
UNION ALL
(SELECT (SELECT more FROM looked), false, id, op::text, ({old})::text, ({new})::text FROM pubsubpull_change
 WHERE model = {model}
     AND key::varchar(255) = {key}::varchar(255)
     AND key = {key}
     AND id > coalesce((SELECT id FROM past), {first})
 ORDER BY id
 LIMIT 1)
UNION ALL
(SELECT (SELECT more FROM looked), false, id, op::text, NULL, NULL FROM pubsubpull_change
 WHERE model = {model}
     AND key::varchar(255) IS NULL
     AND op = 'O'
     AND ({moment}::timestamptz IS NULL OR at > {moment})
     AND id > coalesce((SELECT id FROM past), {first})
 ORDER BY key::varchar(255), model, id LIMIT 1)
