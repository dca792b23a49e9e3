-- A page of a table's rows, each with its key, its version and the item that tells of it in a
-- notification, and whether the page was cut. {at} is when the rows began to be sent, the same
-- however often one is.
SELECT r.item->>'key', (r.item->>'version')::bigint,
    '{{"version":' || (r.item->>'version') || ',"transaction":null,"model":' || to_json({label}::text)
        || ',"key":' || (r.item->'key') ||
    ',"op":"snapshot","at":' || to_json({at}::text) || ',"request":null,"old":null,"new":' ||
    (r.item->'data') || '}}', page.cut
FROM ({rows}) AS page,
    json_array_elements(('[' || page.items || ']')::json) WITH ORDINALITY AS r (item, place)
ORDER BY r.place
