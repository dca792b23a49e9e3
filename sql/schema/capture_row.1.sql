-- AFTER INSERT OR UPDATE OR DELETE, once a row, for tables on which a statement's trigger would
-- fire too late.
-- Arguments as for pubsubpull_capture_insert. The fifth argument names the columns that jsonb may
-- be unable to hold.
CREATE FUNCTION {schema}.pubsubpull_capture_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
{text_settings}
AS $$
DECLARE
    columns text[] := tg_argv[1];
    excluded text[] := tg_argv[2];
    -- Guard nothing if the function has overloads: another one could fit the row's type better, and
    -- would run with the owner's rights.
    guarded text[] := CASE
        WHEN tg_nargs < 5 OR tg_argv[4] = '{{}}' THEN '{{}}'
        WHEN to_regproc('{schema}.pubsubpull_guarded') IS NULL THEN '{{}}'
        ELSE tg_argv[4]
    END;
    before jsonb := CASE
        WHEN tg_op <> 'INSERT'
            THEN CASE
                WHEN guarded = '{{}}' THEN to_jsonb(old)
                ELSE {schema}.pubsubpull_guarded(old, tg_relid, guarded)
            END
    END;
    after jsonb := CASE
        WHEN tg_op <> 'DELETE'
            THEN CASE
                WHEN guarded = '{{}}' THEN to_jsonb(new)
                ELSE {schema}.pubsubpull_guarded(new, tg_relid, guarded)
            END
    END;
    old_key text;
    new_key text;
    -- The id from which on the changes of this transaction may be out of order; empty if all are in
    -- order.
    marker text := current_setting('pubsubpull.nested', true);
BEGIN
{unless_uncaptured}
    IF cardinality(columns) > 1 OR NOT coalesce(after, before) ?& columns THEN
        columns := {schema}.pubsubpull_key_columns(tg_relid, columns, tg_argv[5]::text[]);
    END IF;
    IF tg_nargs > 6 THEN
        excluded := {schema}.pubsubpull_left_out(tg_relid, tg_argv);
    END IF;
    old_key := CASE WHEN tg_op <> 'INSERT' THEN {schema}.pubsubpull_key(before, columns) END;
    new_key := CASE WHEN tg_op <> 'DELETE' THEN {schema}.pubsubpull_key(after, columns) END;
    IF (marker = '') IS NOT FALSE AND (pg_trigger_depth() > 1 OR old_key <> new_key) THEN
        marker := (SELECT last_value FROM {schema}.pubsubpull_change_id_seq) - 1;
        PERFORM set_config('pubsubpull.nested', marker, true);
    END IF;
    PERFORM {schema}.pubsubpull_log_row(tg_argv[0], columns, excluded, tg_argv[3]::text[], before, after);
    IF marker <> '' THEN
        -- xmax is set if the row was written again or locked after the statement wrote it.
        PERFORM {schema}.pubsubpull_put_in_order(
            tg_argv[0], key, marker::bigint, CASE WHEN tg_op = 'DELETE' THEN false ELSE new.xmax <> '0' END
        )
        FROM (VALUES (old_key), (nullif(new_key, old_key))) AS keys (key) WHERE key IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_capture_row() FROM PUBLIC;
