-- Many rows are sorted and kept at once: in memory, and not on the disk, which takes longer. Until
-- the transaction ends.
SELECT set_config('work_mem', '64MB', true)
WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB')
