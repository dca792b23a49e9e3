-- Write those of the given rows into the log that it does not know. Return how many, and the keys
-- of the rows that other sessions have locked.
SELECT written, skipped::json
FROM pubsubpull_baseline(
    {relation}::regclass, {label}, {columns}::text[],
    pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]),
    {masked}::text[], {keys}::jsonb, {since}, {patient}
)
