-- Return the keys of the next rows of a table.
SELECT pubsubpull_keys_after({relation}::regclass, {columns}::text[], {past}::text[], {limit})::json
