-- The changes of a model in the page, one by one, in order.
SELECT n, op = 'truncate'
FROM pg_temp.pubsubpull_page
WHERE model = {source} AND op <> 'uncaptured'
ORDER BY n
