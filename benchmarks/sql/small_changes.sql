-- Insert small changes {first} to {last} of a busy hour, all of other objects: the length of a log
-- depends on the number of changes, not on their size.
INSERT INTO pubsubpull_change (at, model, op, key, new)
SELECT now(), {model}, 'I', 'k' || n, jsonb_build_object('id', n) FROM generate_series({first}::bigint, {last}::bigint) AS n
