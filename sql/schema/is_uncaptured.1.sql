-- Return true if capture of a model is off in this transaction. The setting names changes, of which
-- one must be this transaction's record of the model. A setting without such a record, as after a
-- rollback or with a record of another transaction, hides nothing.
CREATE FUNCTION {schema}.pubsubpull_is_uncaptured(label text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    setting text := current_setting('pubsubpull.uncaptured', true);
BEGIN
    IF setting !~ '^[0-9]{{1,18}}(,[0-9]{{1,18}})*$' THEN
        RETURN false;
    END IF;
    RETURN EXISTS (
        SELECT FROM {schema}.pubsubpull_change c WHERE c.id = ANY (string_to_array(setting, ',')::bigint[])
        AND c.xid = pg_current_xact_id_if_assigned() AND c.model = label AND c.op = 'O');
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_is_uncaptured(text) FROM PUBLIC;
