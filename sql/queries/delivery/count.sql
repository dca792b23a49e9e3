-- Add to counters that all workers share. The order makes sure that no two workers wait for each
-- other.
INSERT INTO pubsubpull_counter AS c (name, label, value)
SELECT name, label, value
FROM unnest({name}::text[], {label}::text[], {value}::double precision[]) AS v (name, label, value)
ORDER BY 1, 2
ON CONFLICT (name, label) DO UPDATE SET value = c.value + excluded.value
