-- Writes those of some rows into the log that are not known there; gives how many, and the keys of
-- those that others hold.
SELECT written, skipped::json
FROM pubsubpull_baseline(
    {relation}::regclass, {label}, {columns}::text[],
    pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]),
    {masked}::text[], {keys}::jsonb, {since}, {patient}
)
