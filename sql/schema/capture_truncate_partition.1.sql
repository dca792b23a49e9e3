-- BEFORE TRUNCATE of a partition: write a delete for each of its rows, since the rest of the table
-- stays.
CREATE FUNCTION {schema}.pubsubpull_capture_truncate_partition() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
{text_settings}
AS $$
DECLARE
    columns text[] := {schema}.pubsubpull_key_columns(tg_relid, tg_argv[1]::text[], tg_argv[5]::text[]);
    -- Guard nothing if the function has overloads: see pubsubpull_capture_row.
    guarded text[] := CASE
        WHEN tg_nargs < 5 OR tg_argv[4] = '{{}}' THEN '{{}}'
        WHEN to_regproc('{schema}.pubsubpull_guarded') IS NULL THEN '{{}}'
        ELSE tg_argv[4]
    END;
    excluded text[] := CASE
        WHEN tg_nargs > 6 THEN {schema}.pubsubpull_left_out(tg_relid, tg_argv)
        ELSE tg_argv[2]::text[]
    END;
BEGIN
{unless_uncaptured}
    -- Assign the transaction id before the changes take their ids: see change_table.1.sql.
    PERFORM pg_current_xact_id();
    EXECUTE format(
        'INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, old)
         SELECT $1, ''D'', {schema}.pubsubpull_key(j, $2), $5, {schema}.pubsubpull_mask(j - $3, $4)
         FROM (SELECT %s AS j FROM ONLY %I.%I r OFFSET 0) AS rows',
        CASE WHEN guarded = '{{}}' THEN 'to_jsonb(r.*)' ELSE '{schema}.pubsubpull_guarded(r, $6, $7)' END,
        tg_table_schema, tg_table_name
    )
    USING tg_argv[0], columns, excluded, tg_argv[3]::text[], {schema}.pubsubpull_request_id(), tg_relid,
        guarded;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_capture_truncate_partition() FROM PUBLIC;
