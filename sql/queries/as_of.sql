-- An object's state at a moment: its last change up to then, or where there is none its first one after it.
SELECT id, old::text, new::text, at <= {moment} FROM (
    (SELECT * FROM pubsubpull_change WHERE model = {model} AND key = {key} AND at <= {moment} ORDER BY id DESC LIMIT 1)
    UNION ALL
    (SELECT * FROM pubsubpull_change WHERE model = {model} AND key = {key} AND at > {moment} ORDER BY id LIMIT 1)
    UNION ALL
    (SELECT * FROM pubsubpull_change WHERE model = {model} AND key IS NULL AND at <= {moment} ORDER BY id DESC LIMIT 1)
) AS c ORDER BY at <= {moment} DESC, CASE WHEN at <= {moment} THEN -id ELSE id END LIMIT 1
