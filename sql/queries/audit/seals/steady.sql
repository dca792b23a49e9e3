-- Read all of this transaction in a single snapshot, and pin the settings that decide the texts of
-- values: digests must not depend on the session.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL extra_float_digits = 1
