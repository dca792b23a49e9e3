-- Write some rows into the log once more. WITH comes first: this tells a context that the statement
-- writes, so that it names the user.
WITH sent AS (
    SELECT pubsubpull_resend(
        {relation}::regclass, {label}, {columns}::text[],
        pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]),
        {masked}::text[], {keys}::jsonb
    ) AS written
)
SELECT written FROM sent
