-- Return whether row level security hides rows of a table, which of its columns a restore may not
-- write, and which are read in another form than the log's.
-- made: PostgreSQL makes their values. fixed: GENERATED ALWAYS AS IDENTITY, which accepts a value
-- in an insert only. hstores: as pubsubpull_hstores returns them.
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
