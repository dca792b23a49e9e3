-- What tells an object's state at a moment: its last change up to then, the last truncate up to then, and its first change after it.
-- Truncates are put in the order of the index of keys: see history_object.sql.
WITH past AS MATERIALIZED (
    SELECT id, op, old, new FROM pubsubpull_change WHERE model = {model} AND key = {key} AND at <= {moment} ORDER BY id DESC LIMIT 1
)
SELECT true, id, op::text, old::text, new::text FROM past
UNION ALL
(SELECT true, id, op::text, old::text, new::text FROM pubsubpull_change
 WHERE model = {model} AND key IS NULL AND at <= {moment} ORDER BY key DESC, model DESC, id DESC LIMIT 1)
UNION ALL
(SELECT false, id, op::text, old::text, new::text FROM pubsubpull_change
 WHERE model = {model} AND key = {key} AND id > coalesce((SELECT id FROM past), {first}) ORDER BY id LIMIT 1)
