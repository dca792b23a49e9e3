-- Insert a deleted row again. PostgreSQL reads each value as its column's type; an identity column
-- gets its former value, too.
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns}
FROM jsonb_populate_record(NULL::{table}, pubsubpull_readable({state}::jsonb, {hstores}::jsonb))
