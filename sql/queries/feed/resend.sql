-- Puts some rows into the log once more, WITH its name first, by which a context knows that this
-- writes, and tells who does.
WITH sent AS (
    SELECT pubsubpull_resend(
        {relation}::regclass, {label}, {columns}::text[],
        pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]),
        {masked}::text[], {keys}::jsonb
    ) AS written
)
SELECT written FROM sent
