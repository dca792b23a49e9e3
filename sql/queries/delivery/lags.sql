-- How long the first change after each of these ids has been waiting, in seconds, 0 where there is
-- none. It is looked for nearby first: a search without an end would look into each partition that
-- follows.
SELECT seen, coalesce((SELECT greatest(extract(epoch FROM clock_timestamp() - at), 0)::double precision
                       FROM pubsubpull_change WHERE id > seen AND id <= seen + 10000 ORDER BY id LIMIT 1),
                      (SELECT greatest(extract(epoch FROM clock_timestamp() - at), 0)::double precision
                       FROM pubsubpull_change WHERE id > seen + 10000 ORDER BY id LIMIT 1), 0)
FROM unnest({seen}::bigint[]) AS v (seen)
