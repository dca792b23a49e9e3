-- Return the ordinals of a model's staged changes, in order.
SELECT n, op = 'truncate'
FROM pg_temp.pubsubpull_page
WHERE model = {source} AND op <> 'uncaptured'
ORDER BY n
