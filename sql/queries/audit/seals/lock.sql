-- Waits until nobody else seals or erases, until the transaction ends; and has PostgreSQL write each value in one way, whatever the session's is.
SELECT pg_advisory_xact_lock('pubsubpull_seal'::regclass::oid::integer, 1), set_config('TimeZone', 'UTC', true),
    set_config('DateStyle', 'ISO, YMD', true), set_config('extra_float_digits', '1', true), set_config('bytea_output', 'hex', true)
