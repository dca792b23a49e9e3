-- Which seals there are, and up to which id changes have gone by retention.
SELECT coalesce(min(id), 0), coalesce(max(id), 0), count(*), (SELECT dropped FROM pubsubpull_log), (SELECT count(*) FROM pubsubpull_erasure)
FROM pubsubpull_seal
