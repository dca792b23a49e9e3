-- Return for how many seconds the first change after each of these ids has been waiting; 0 if there
-- is none. The search looks nearby first: without a bound it would look into every later partition.
SELECT seen, coalesce((SELECT greatest(extract(epoch FROM clock_timestamp() - at), 0)::double precision
                       FROM pubsubpull_change WHERE id > seen AND id <= seen + 10000 ORDER BY id LIMIT 1),
                      (SELECT greatest(extract(epoch FROM clock_timestamp() - at), 0)::double precision
                       FROM pubsubpull_change WHERE id > seen + 10000 ORDER BY id LIMIT 1), 0)
FROM unnest({seen}::bigint[]) AS v (seen)
