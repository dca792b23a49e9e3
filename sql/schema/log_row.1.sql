-- Writes the change or changes of one row. An update that changes nothing writes nothing; one that
-- moves the key is a delete of the old key and an insert of the new one. Compared is what is
-- stored, so that 1.0 and 1.00 differ.
CREATE FUNCTION {schema}.pubsubpull_log_row(
    label text, columns text[], excluded text[], masked text[], before jsonb, after jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    request uuid;
    old_key text;
    new_key text;
    hides boolean := masked <> '{{}}';
BEGIN
    -- Before anything is left out: a column of the key may have the name of an excluded one by now.
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
