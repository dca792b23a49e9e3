-- Whether row level security hides rows of a table; what of its columns a restore may not write,
-- and which are read otherwise than the log has them. made: PostgreSQL makes their values.
-- fixed: GENERATED ALWAYS AS IDENTITY, which only an insert may give a value. hstores: of that
-- type, or arrays of it.
WITH RECURSIVE types (name, type) AS (
    SELECT a.attname::text, a.atttypid
    FROM pg_attribute a
    WHERE a.attrelid = {relation}::regclass AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT t.name, part.type FROM types t JOIN pg_type y ON y.oid = t.type
        CROSS JOIN LATERAL (
            SELECT y.typelem WHERE y.typelem <> 0 UNION ALL SELECT y.typbasetype WHERE y.typbasetype <> 0
        ) AS part (type)
)
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
    ARRAY(
        SELECT DISTINCT t.name FROM types t JOIN pg_type y ON y.oid = t.type WHERE y.typname = 'hstore'
    ) AS hstores
