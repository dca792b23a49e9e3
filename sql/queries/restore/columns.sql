-- Whether row level security hides rows of a table; what of its columns a restore may not write,
-- and which are read otherwise than the log has them. made: PostgreSQL makes their values.
-- fixed: GENERATED ALWAYS AS IDENTITY, which only an insert may give a value. hstores: as
-- pubsubpull_hstores has them.
SELECT row_security_active({relation}::regclass) AS secured,
    ARRAY(
        SELECT attname::text
        FROM pg_attribute
        WHERE attrelid = {relation}::regclass AND attnum > 0 AND attgenerated <> ''
    ) AS made,
    ARRAY(
        SELECT attname::text
        FROM pg_attribute
        WHERE attrelid = {relation}::regclass AND attnum > 0 AND attidentity = 'a'
    ) AS fixed,
    (
        SELECT pubsubpull_hstores(array_agg(attname::text), array_agg(format_type(atttypid, NULL)))::text
        FROM pg_attribute
        WHERE attrelid = {relation}::regclass AND attnum > 0 AND NOT attisdropped
    ) AS hstores
