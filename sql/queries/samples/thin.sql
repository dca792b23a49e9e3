-- Forgets the samples older than {keep} seconds, and of those older than {fine} seconds all but one
-- in {coarse} seconds.
DELETE FROM pubsubpull_sample
WHERE at < clock_timestamp() - make_interval(secs => {keep})
   OR (
       at < clock_timestamp() - make_interval(secs => {fine})
       AND extract(epoch FROM at)::bigint % {coarse} <> 0
   )
