-- AFTER UPDATE, once a statement. Arguments as for pubsubpull_capture_insert. Old and new rows are
-- paired by key; an unpaired row has moved its key.
-- A single row takes a path without a join, since a session caches the join's plan with the size of
-- its first statement. The most common case, a single row with the same key, is written here.
-- pubsubpull_log_row writes the other cases of a single row.
-- hash_mem_multiplier is raised for the join's hash table, which holds one side of the rows. With
-- the default it would go to disk from 10,000 rows on.
CREATE FUNCTION {schema}.pubsubpull_capture_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET hash_mem_multiplier = 8
{text_settings}
AS $$
DECLARE
{capture_arguments}
    affected integer;
    before jsonb;
    after jsonb;
    request uuid;
    transaction xid8;
    moment timestamptz;
BEGIN
{unless_uncaptured}
    SELECT 1, to_jsonb(o.*), to_jsonb(n.*) INTO affected, before, after FROM old_rows o, new_rows n LIMIT 1;
    IF affected = 1 AND EXISTS (SELECT FROM new_rows OFFSET 1) THEN
        affected := 2;
    END IF;
    IF affected > 0 AND (cardinality(columns) > 1 OR NOT before ?& columns) THEN
        columns := {schema}.pubsubpull_key_columns(tg_relid, columns, tg_argv[5]::text[]);
        key_column := columns[1];
    END IF;
    IF tg_nargs > 6 AND affected > 0 THEN
        excluded := {schema}.pubsubpull_left_out(tg_relid, tg_argv);
    END IF;
    IF affected = 1 THEN
        IF excluded = '{{}}' AND masked = '{{}}' AND cardinality(columns) = 1
            AND before ->> key_column = after ->> key_column
        THEN
            IF NOT record_image_eq(ROW(before), ROW(after)) THEN
                IF current_setting('pubsubpull.request', true) <> '' THEN
                    request := {schema}.pubsubpull_request_id();
                END IF;
                INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, old, new)
                VALUES (label, 'U', after ->> key_column, request, before, after);
            END IF;
        ELSE
            PERFORM {schema}.pubsubpull_log_row(label, columns, excluded, masked, before, after);
        END IF;
    ELSIF affected > 1 AND excluded = '{{}}' AND masked = '{{}}' AND cardinality(columns) = 1 THEN
        request := {schema}.pubsubpull_request_id();
        -- Call these once a statement: a volatile function in the INSERT would run for each row.
        transaction := pg_current_xact_id();
        moment := clock_timestamp();
        INSERT INTO {schema}.pubsubpull_change (xid, at, model, op, key, request_id, old, new)
        SELECT transaction, moment, label,
            CASE WHEN n.j IS NULL THEN "char" 'D' WHEN o.j IS NULL THEN "char" 'I' ELSE "char" 'U' END,
            key, request, o.j, n.j
        FROM (
            SELECT j, j ->> key_column AS key
            FROM (SELECT to_jsonb(r.*) AS j FROM old_rows r OFFSET 0) AS rows
            OFFSET 0
        ) AS o
        FULL JOIN (
            SELECT j, j ->> key_column AS key
            FROM (SELECT to_jsonb(r.*) AS j FROM new_rows r OFFSET 0) AS rows
            OFFSET 0
        ) AS n USING (key)
        WHERE o.j IS NULL OR n.j IS NULL OR NOT record_image_eq(ROW(o.j), ROW(n.j));
    ELSIF affected > 1 THEN
        request := {schema}.pubsubpull_request_id();
        transaction := pg_current_xact_id();
        moment := clock_timestamp();
        INSERT INTO {schema}.pubsubpull_change (xid, at, model, op, key, request_id, old, new)
        SELECT transaction, moment, label,
            CASE WHEN n.j IS NULL THEN "char" 'D' WHEN o.j IS NULL THEN "char" 'I' ELSE "char" 'U' END,
            key, request,
               {schema}.pubsubpull_mask(o.j, masked), {schema}.pubsubpull_mask(n.j, masked)
        FROM (
            SELECT j - excluded AS j,
                CASE
                    WHEN cardinality(columns) = 1 THEN j ->> key_column
                    ELSE {schema}.pubsubpull_key(j, columns)
                END AS key
            FROM (SELECT to_jsonb(r.*) AS j FROM old_rows r OFFSET 0) AS rows
            OFFSET 0
        ) AS o
        FULL JOIN (
            SELECT j - excluded AS j,
                CASE
                    WHEN cardinality(columns) = 1 THEN j ->> key_column
                    ELSE {schema}.pubsubpull_key(j, columns)
                END AS key
            FROM (SELECT to_jsonb(r.*) AS j FROM new_rows r OFFSET 0) AS rows
            OFFSET 0
        ) AS n USING (key)
        WHERE o.j IS NULL OR n.j IS NULL OR NOT record_image_eq(ROW(o.j), ROW(n.j));
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_capture_update() FROM PUBLIC;
