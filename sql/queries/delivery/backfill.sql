-- Return a page of a table's rows, each with its key, its version and its data as JSON text, and
-- whether the page was cut.
SELECT r.item->>'key', (r.item->>'version')::bigint, (r.item->'data')::text, page.cut
FROM ({rows}) AS page,
    json_array_elements(('[' || page.items || ']')::json) WITH ORDINALITY AS r (item, place)
ORDER BY r.place
