-- Write a state over the row with its key. PostgreSQL reads each value as its column's type.
UPDATE {table} AS t
SET ({columns}) = (
    SELECT {columns}
    FROM jsonb_populate_record(NULL::{table}, pubsubpull_readable({state}::jsonb, {hstores}::jsonb))
)
WHERE ({keys}) = (
    SELECT {keys}
    FROM jsonb_populate_record(NULL::{table}, pubsubpull_readable({state}::jsonb, {hstores}::jsonb))
)
