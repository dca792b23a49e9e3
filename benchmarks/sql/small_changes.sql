-- Small changes {first} to {last} of one busy hour, all of other objects: a log is as long as its changes are many, whatever is in them.
INSERT INTO pubsubpull_change (at, model, op, key, new)
SELECT now(), {model}, 'I', 'k' || n, jsonb_build_object('id', n) FROM generate_series({first}::bigint, {last}::bigint) AS n
