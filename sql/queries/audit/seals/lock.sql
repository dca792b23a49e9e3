-- Waits until nobody else seals or erases, until the transaction ends; and has PostgreSQL write
-- each value in one way, whatever the session's is, and read the log by its index, whatever it
-- believes to be in it.
SELECT pg_advisory_xact_lock('pubsubpull_seal'::regclass::oid::integer, 1),
    set_config('TimeZone', 'UTC', true),
    set_config('DateStyle', 'ISO, YMD', true), set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true),
    set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('jit', 'off', true)
