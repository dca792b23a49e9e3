-- Delete the samples older than {keep} seconds, and keep one in {coarse} seconds of those older
-- than {fine} seconds.
DELETE FROM pubsubpull_sample
WHERE at < clock_timestamp() - make_interval(secs => {keep})
   OR (
       at < clock_timestamp() - make_interval(secs => {fine})
       AND extract(epoch FROM at)::bigint % {coarse} <> 0
   )
