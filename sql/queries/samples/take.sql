-- Take the sample of these {every} seconds unless another process has: no two have the same time.
-- pg_trigger names the captured tables.
INSERT INTO pubsubpull_sample (at, captured, delivered, bytes, details)
SELECT m.moment, {captured},
    coalesce((SELECT value FROM pubsubpull_counter WHERE name = {name} AND label = {label}), 0)::bigint,
    (SELECT coalesce(sum(pg_total_relation_size(p.relation)), 0) FROM pubsubpull_partitions() AS p),
    jsonb_build_object(
        'tables', (SELECT jsonb_object_agg(c.oid, ({writes})) FROM (
            SELECT DISTINCT t.tgrelid AS oid FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
            WHERE t.tgname LIKE '00\_pubsubpull\_%'
                AND f.proname LIKE 'pubsubpull\_%'
                AND t.tgparentid = 0) AS c),
        'subscriptions',
        (SELECT jsonb_object_agg(id, delivered) FROM pubsubpull_subscription WHERE delivered > 0))
FROM (SELECT to_timestamp(floor(extract(epoch FROM clock_timestamp()) / {every}) * {every}) AS moment) AS m
WHERE NOT EXISTS (SELECT FROM pubsubpull_sample s WHERE s.at = m.moment)
ON CONFLICT (at) DO NOTHING
RETURNING at
