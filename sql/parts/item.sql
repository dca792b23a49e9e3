-- A change as the JSON text of a page's item. The row data goes through as PostgreSQL's own text.
-- One concat(): with || each part would copy what comes before it, row data too. {old} is the row
-- before, or what a reader wants of it.
-- An erased delete is a delete, with its key alone. pubsubpull_look() has this text, too: where it
-- changes, that is made anew.
concat(
    '{{"version":', id, ',"transaction":"', xid, '","model":', to_json(model),
    ',"key":', coalesce(to_json(key)::text, 'null'),
    CASE op
        WHEN 'I' THEN ',"op":"insert"'
        WHEN 'U' THEN ',"op":"update"'
        WHEN 'D' THEN ',"op":"delete"'
        WHEN 'E' THEN ',"op":"erase"'
        WHEN 'X' THEN ',"op":"delete"'
        WHEN 'O' THEN ',"op":"uncaptured"'
        WHEN 'V' THEN ',"op":"event"'
        ELSE ',"op":"truncate"'
    END,
    ',"at":', rtrim(to_json(at AT TIME ZONE 'UTC')::text, '"'), 'Z","request":',
    coalesce('"' || request_id || '"', 'null'),
    ',"old":', CASE WHEN {old} IS NULL THEN 'null' END, {old},
    ',"new":', CASE WHEN new IS NULL THEN 'null' END, new, '}}'
)
