-- A page of a table's rows, or one of them.
SELECT items, n, last_key
FROM pubsubpull_instances({relation}::regclass, {label}, {columns}::text[], pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]), {masked}::text[], {past}::text[], {until}::text[], {only}::text[], {limit}, {newest})
