-- The place of the last truncate of a model in the page, 0 where there is none.
SELECT coalesce(max(n), 0) FROM pg_temp.pubsubpull_page WHERE model = {source} AND op = 'truncate'
