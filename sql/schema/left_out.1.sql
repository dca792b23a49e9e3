-- Return the columns that the log leaves out of a table with hidden columns.
-- arguments: the trigger's. The sixth is the table's columns when the trigger was made, each at the
-- index of its number, '' for a dropped column. The seventh is the columns that may be shown.
-- If the table has changed since, a column is shown by its name unless it has the number of a
-- hidden column. Neither a renamed nor an added column is ever shown by mistake.
-- A table restored from a dump has the same names in the same order, numbered from 1 without gaps.
-- For a partition its root decides: columns have the same names there, and may have other numbers.
CREATE FUNCTION {schema}.pubsubpull_left_out(relation oid, arguments text[])
RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    root oid := coalesce(pg_partition_root(relation), relation);
    excluded text[] := arguments[2];
    masked text[] := arguments[3];
    known text[] := arguments[5];
    shown text[] := arguments[6];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = root AND a.attnum > 0 AND NOT a.attisdropped
                     AND known[a.attnum] IS DISTINCT FROM a.attname::text) THEN
        RETURN excluded;
    END IF;
    IF (
        SELECT array_agg(a.attname::text ORDER BY a.attnum) = array_remove(known, '')
        AND max(a.attnum) = count(*)
        FROM pg_attribute a WHERE a.attrelid = root AND a.attnum > 0 AND NOT a.attisdropped) THEN
        RETURN excluded;
    END IF;
    RETURN excluded || ARRAY(
        SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = root AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (masked)
          AND (
              coalesce(known[a.attnum] = ANY (excluded || masked), false)
              OR (a.attname <> ALL (shown) AND NOT EXISTS (
              SELECT
              FROM pg_index x
              WHERE x.indrelid = root AND x.indisprimary AND a.attnum = ANY (x.indkey)))));
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_left_out(oid, text[]) FROM PUBLIC;
