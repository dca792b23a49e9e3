-- Wait until no other session seals or erases, and hold that lock to the end of the transaction.
-- Pin the settings that decide the texts of values: digests must not depend on the session. Read
-- the log by its index: the planner's statistics of it may be wrong.
SELECT pg_advisory_xact_lock('pubsubpull_seal'::regclass::oid::integer, 1),
    set_config('TimeZone', 'UTC', true),
    set_config('DateStyle', 'ISO, YMD', true), set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true),
    set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('jit', 'off', true)
