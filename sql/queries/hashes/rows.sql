-- Return the key and the hash of each row of a range of keys.
SELECT key, hash
FROM pubsubpull_row_hashes(
    {relation}::regclass, {keys}::text[], {columns}::text[], {masked}::text[], {filter}::jsonb,
    {past}::text[], {until}::text[], {limit}
)
