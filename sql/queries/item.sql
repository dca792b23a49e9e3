-- A change as the JSON text of a page's item. The row data goes through as PostgreSQL's own text.
'{{"version":' || id || ',"transaction":"' || xid || '","model":' || to_json(model) || ',"key":' || coalesce(to_json(key)::text, 'null') ||
',"op":"' || CASE op WHEN 'I' THEN 'insert' WHEN 'U' THEN 'update' WHEN 'D' THEN 'delete' WHEN 'E' THEN 'erase' ELSE 'truncate' END ||
'","at":' || rtrim(to_json(at AT TIME ZONE 'UTC')::text, '"') || 'Z","request":' || coalesce('"' || request_id || '"', 'null') ||
',"old":' || coalesce(old::text, 'null') || ',"new":' || coalesce(new::text, 'null') || '}}'
