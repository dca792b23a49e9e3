-- AFTER DELETE, once a statement. Arguments as for pubsubpull_capture_insert.
CREATE FUNCTION {schema}.pubsubpull_capture_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
{text_settings}
AS $$
DECLARE
{capture_arguments}
    request uuid;
    transaction xid8;
    moment timestamptz;
BEGIN
{unless_uncaptured}
    IF NOT EXISTS (SELECT FROM old_rows) THEN
        RETURN NULL;
    END IF;
    request := {schema}.pubsubpull_request_id();
    -- Call these once a statement: a volatile function in the INSERT would run for each row.
    transaction := pg_current_xact_id();
    moment := clock_timestamp();
    IF excluded = '{{}}' AND masked = '{{}}' AND cardinality(columns) = 1 THEN
        INSERT INTO {schema}.pubsubpull_change (xid, at, model, op, key, request_id, old)
        SELECT transaction, moment, label, 'D',
            coalesce(
                j ->> key_column,
                j ->> ({schema}.pubsubpull_key_columns(tg_relid, columns, tg_argv[5]::text[]))[1]),
            request, j
        FROM (SELECT to_jsonb(o.*) AS j FROM old_rows o OFFSET 0) AS rows;
    ELSE
        IF cardinality(columns) > 1 THEN
            columns := {schema}.pubsubpull_key_columns(tg_relid, columns, tg_argv[5]::text[]);
        END IF;
        IF tg_nargs > 6 THEN
            excluded := {schema}.pubsubpull_left_out(tg_relid, tg_argv);
        END IF;
        INSERT INTO {schema}.pubsubpull_change (xid, at, model, op, key, request_id, old)
        SELECT transaction, moment, label, 'D',
            CASE
                WHEN cardinality(columns) > 1 THEN {schema}.pubsubpull_key(j, columns)
                ELSE coalesce(
                    j ->> key_column,
                    j ->> ({schema}.pubsubpull_key_columns(tg_relid, columns, tg_argv[5]::text[]))[1])
            END,
            request,
            CASE
                WHEN masked = '{{}}' THEN j - excluded
                ELSE {schema}.pubsubpull_mask(j - excluded, masked)
            END
        FROM (SELECT to_jsonb(o.*) AS j FROM old_rows o OFFSET 0) AS rows;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_capture_delete() FROM PUBLIC;
