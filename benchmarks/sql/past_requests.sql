-- Insert requests for a log's past: each began {step} seconds after the previous one, the last one
-- now; many users take turns.
INSERT INTO pubsubpull_request (id, user_id, user_name, method, path, source, started, duration, status)
SELECT md5(n::text)::uuid, (n % {users})::text, 'user-' || n % {users}, 'POST', '/orders/' || n || '/', 'http',
       now() - ({count} - n) * make_interval(secs => {step}), 0.05, 200
FROM generate_series(1, {count}) AS n
