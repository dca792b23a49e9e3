-- A change as the JSON text of a page's item. The row data goes through as PostgreSQL's own text.
-- One concat(): with || each part would copy what comes before it, row data too. {old} is the row
-- before, or what a reader wants of it. pubsubpull_poll() has this text, too: where it changes,
-- that is made anew.
concat(
    '{{"version":', id, ',"transaction":"', xid, '","model":', to_json(model),
    ',"key":', coalesce(to_json(key)::text, 'null'), {op},
    rtrim(to_json(at AT TIME ZONE 'UTC')::text, '"'),
    'Z","request":', coalesce('"' || request_id || '"', 'null'),
    ',"old":', CASE WHEN {old} IS NULL THEN 'null' END, {old},
    ',"new":', CASE WHEN new IS NULL THEN 'null' END, new, '}}'
)
