-- Return a change as the JSON text of a page's item. Row data goes through as PostgreSQL's own
-- text: parsing it would round numbers.
-- A single concat(): a chain of || would copy everything before each part again, row data too.
-- {old} is the row before the change, or the part of it that a reader asked for.
-- pubsubpull_poll() contains this text. An edit here needs a new version of that function.
concat(
    '{{"version":', id, ',"transaction":"', xid, '","model":', to_json(model),
    ',"key":', coalesce(to_json(key)::text, 'null'), {op},
    rtrim(to_json(at AT TIME ZONE 'UTC')::text, '"'),
    'Z","request":', coalesce('"' || request_id || '"', 'null'),
    ',"old":', CASE WHEN {old} IS NULL THEN 'null' END, {old},
    ',"new":', CASE WHEN new IS NULL THEN 'null' END, new, '}}'
)
