-- The staged changes of a model, one by one, in order.
SELECT n, op = 'truncate'
FROM pg_temp.pubsubpull_page
WHERE model = {source} AND op <> 'uncaptured'
ORDER BY n
