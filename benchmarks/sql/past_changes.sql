-- Insert changes {first} to {last} of a log's past: updates of many objects in turn, each of its
-- own request. One in a hundred is of a single busy object, and one in a hundred thousand of a rare
-- model.
INSERT INTO pubsubpull_change (at, model, op, key, request_id, old, new)
SELECT now() - ({count} - n) * make_interval(secs => {step}),
    CASE WHEN n % 100000 = 7 THEN 'benchmarks.rare' ELSE {model} END, 'U',
    CASE WHEN n % 100 = 0 THEN '0' ELSE (n * 7919 % {objects} + 1)::text END,
    md5(((n - 1) / {each} + 1)::text)::uuid,
    jsonb_build_object('id', n, 'customer', 'c' || n % 1000, 'status', 's' || n % 10, 'total', n % 5000, 'notes', 'some words of notes'),
    jsonb_build_object('id', n, 'customer', 'c' || n % 1000, 'status', 's' || (n + 1) % 10, 'total', n % 5000, 'notes', 'some words of notes')
FROM generate_series({first}::bigint, {last}::bigint) AS n
