-- Insert changes of two days ago into the log.
INSERT INTO pubsubpull_change (at, model, op, key, new)
SELECT clock_timestamp() - interval '2 days', 'benchmarks.captured', 'I', n::text, jsonb_build_object('id', n, 'customer', 'customer ' || n)
FROM generate_series(1, {count}) AS n
