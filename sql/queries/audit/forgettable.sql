-- Return the first and the last id of the log, and how many of a model's changes have some columns,
-- or other columns without their mask.
SELECT min(id), max(id), count(*) FILTER (WHERE model = {model} AND (
    old ?| {columns}::text[]
    OR new ?| {columns}::text[]
    OR old <> pubsubpull_mask(old, {masked}::text[])
    OR new <> pubsubpull_mask(new, {masked}::text[])))
FROM pubsubpull_change
