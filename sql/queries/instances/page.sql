-- Return a page of a table's rows, or a single row, and whether its size has cut it.
SELECT items, n, last_key, cut
FROM pubsubpull_instances(
    {relation}::regclass, {label}, {columns}::text[],
    pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]),
    {masked}::text[], {past}::text[], {until}::text[], {only}::text[],
    {limit}, {size}, {newest}
)
