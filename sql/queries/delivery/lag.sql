-- How long the first change after an id has been waiting, in seconds, 0 where there is none.
SELECT coalesce((SELECT greatest(extract(epoch FROM clock_timestamp() - at), 0)::double precision
                 FROM pubsubpull_change WHERE id > {seen} ORDER BY id LIMIT 1), 0)
