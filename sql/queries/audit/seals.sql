-- Which seals there are, up to which id changes have gone by retention, how many were erased, and whether some were imported.
SELECT coalesce(min(id), 0), coalesce(max(id), 0), count(*), (SELECT dropped FROM pubsubpull_log), (SELECT count(*) FROM pubsubpull_erasure),
    EXISTS (SELECT FROM pubsubpull_change WHERE id < 0)
FROM pubsubpull_seal
