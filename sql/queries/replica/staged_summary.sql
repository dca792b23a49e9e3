-- Return for a staged model the ordinal of its last truncate (0 if there is none), how many rows it
-- has, whether each has all of these columns, and whether capture was off.
SELECT coalesce(max(n) FILTER (WHERE op = 'truncate'), 0), count(*) FILTER (WHERE op IN ('insert', 'update')),
       coalesce(bool_and(data ?& {columns}::text[]) FILTER (WHERE op IN ('insert', 'update')), true),
       coalesce(bool_or(op = 'uncaptured'), false)
FROM pg_temp.pubsubpull_page WHERE model = {source}
