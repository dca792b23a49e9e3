-- Make the next change the first of the second partition.
SELECT setval('pubsubpull_change_id_seq', high - 1) FROM pubsubpull_partitions() ORDER BY low LIMIT 1
