-- Write the change or changes of a single row. An update without a difference writes nothing. An
-- update of the key is a delete of the old key and an insert of the new one.
-- The stored values are compared, so that 1.0 and 1.00 differ.
CREATE FUNCTION {schema}.pubsubpull_log_row(
    label text, columns text[], excluded text[], masked text[], before jsonb, after jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    request uuid;
    old_key text;
    new_key text;
    hides boolean := masked <> '{{}}';
BEGIN
    -- Read the keys before any column is left out: a key column may have the name of an excluded
    -- column by now.
    old_key := CASE
        WHEN cardinality(columns) = 1 THEN before ->> columns[1]
        ELSE {schema}.pubsubpull_key(before, columns)
    END;
    new_key := CASE
        WHEN cardinality(columns) = 1 THEN after ->> columns[1]
        ELSE {schema}.pubsubpull_key(after, columns)
    END;
    IF excluded <> '{{}}' THEN
        before := before - excluded;
        after := after - excluded;
    END IF;
    IF old_key IS NOT DISTINCT FROM new_key AND record_image_eq(ROW(before), ROW(after)) THEN
        RETURN;
    END IF;
    request := {schema}.pubsubpull_request_id();
    IF hides THEN
        before := {schema}.pubsubpull_mask(before, masked);
        after := {schema}.pubsubpull_mask(after, masked);
    END IF;
    -- Assign the transaction id before the change takes its id: see change_table.1.sql.
    PERFORM pg_current_xact_id();
    IF before IS NULL THEN
        INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, new)
        VALUES (label, 'I', new_key, request, after);
    ELSIF after IS NULL THEN
        INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, old)
        VALUES (label, 'D', old_key, request, before);
    ELSIF old_key = new_key THEN
        INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, old, new)
        VALUES (label, 'U', new_key, request, before, after);
    ELSE
        INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, old)
        VALUES (label, 'D', old_key, request, before);
        INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, new)
        VALUES (label, 'I', new_key, request, after);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_log_row(text, text[], text[], text[], jsonb, jsonb) FROM PUBLIC;
