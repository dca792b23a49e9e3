-- Brings a deleted row back. PostgreSQL reads each value as its column's type.
INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, {state}::jsonb)
