-- What tells an object's state at a moment: its last change up to then, the last truncate up to then, and its first change after it.
(SELECT true, id, op::text, old::text, new::text FROM pubsubpull_change
 WHERE model = {model} AND key = {key} AND at <= {moment} ORDER BY id DESC LIMIT 1)
UNION ALL
(SELECT true, id, op::text, old::text, new::text FROM pubsubpull_change
 WHERE model = {model} AND key IS NULL AND at <= {moment} ORDER BY id DESC LIMIT 1)
UNION ALL
(SELECT false, id, op::text, old::text, new::text FROM pubsubpull_change
 WHERE model = {model} AND key = {key} AND at > {moment} ORDER BY id LIMIT 1)
