-- Return rebuilt rows of some objects as changes.
SELECT place, at, op, old, new,
    request || jsonb_build_object('id', md5(request ->> 'id')::uuid, 'started', at) AS request
FROM jsonb_to_recordset({entries}::jsonb) AS e (
    place bigint, at timestamptz, op text, old jsonb, new jsonb, request jsonb
)
