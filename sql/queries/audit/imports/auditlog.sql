-- Rebuilt rows of some objects as changes: values that the entries tell of are texts until here, those of known rows are as the log has them.
SELECT place, at, op, pubsubpull_past_typed(old, {table}::regclass) || old_known AS old, pubsubpull_past_typed(new, {table}::regclass) || new_known AS new,
    request || jsonb_build_object('id', md5(request ->> 'id')::uuid, 'started', at) AS request
FROM jsonb_to_recordset({entries}::jsonb) AS e (
    place bigint, at timestamptz, op text, old jsonb, old_known jsonb, new jsonb, new_known jsonb, request jsonb)
