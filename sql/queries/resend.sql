-- Puts some rows into the log once more.
SELECT pubsubpull_resend({relation}::regclass, {label}, {columns}::text[], {excluded}::text[], {masked}::text[], {keys}::jsonb)
