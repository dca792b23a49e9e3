-- Brings a deleted row back. PostgreSQL reads each value as its column's type; an identity has it
-- again, too.
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns}
FROM jsonb_populate_record(NULL::{table}, pubsubpull_readable({state}::jsonb, {hstores}::jsonb))
