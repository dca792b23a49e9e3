-- Sort and keep many rows in memory until the transaction ends: on disk it would take longer.
SELECT set_config('work_mem', '64MB', true)
WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB')
