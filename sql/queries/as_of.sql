-- What tells an object's state at a moment: its last change up to then, the last truncate up to then, and its first change after it; with each how
-- many of its latest changes below {ceiling} were looked at, of which there are more where these are {most}. Truncates are put in the order of
-- the index of keys: see history_object.sql.
WITH recent AS MATERIALIZED (
    SELECT id, at FROM pubsubpull_change WHERE model = {model} AND key = {key} AND id < {ceiling} ORDER BY id DESC LIMIT {most}
),
looked AS (SELECT count(*) AS n, max(id) FILTER (WHERE at <= {moment}) AS past FROM recent)
SELECT (SELECT n FROM looked), true, id, op::text, old::text, new::text FROM pubsubpull_change WHERE id = (SELECT past FROM looked)
UNION ALL
(SELECT (SELECT n FROM looked), true, id, op::text, old::text, new::text FROM pubsubpull_change
 WHERE model = {model} AND key IS NULL AND at <= {moment} ORDER BY key DESC, model DESC, id DESC LIMIT 1)
UNION ALL
(SELECT (SELECT n FROM looked), false, id, op::text, old::text, new::text FROM pubsubpull_change
 WHERE model = {model} AND key = {key} AND id > coalesce((SELECT past FROM looked), {first}) ORDER BY id LIMIT 1)
