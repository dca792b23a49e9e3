-- Move the latest change of a key to its position among this transaction's changes above the id
-- `marker`.
-- All rows of a statement are written before its triggers fire. If a trigger writes a row again, or
-- if keys are moved onto each other, the log has the later state first. A change belongs right
-- before the change that begins with its final state. If both orders fit, as for a row deleted and
-- inserted unchanged, `superseded` decides. No other session has seen these changes yet.
CREATE FUNCTION {schema}.pubsubpull_put_in_order(label text, row_key text, marker bigint, superseded boolean)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    mine record;
    ids bigint[];
BEGIN
    SELECT id, old, new INTO mine FROM {schema}.pubsubpull_change c
    WHERE c.key::varchar(255) = row_key::varchar(255)
        AND c.key = row_key
        AND c.model = label
        AND c.id > marker
        AND c.xid = pg_current_xact_id()
    ORDER BY c.id DESC
    LIMIT 1;
    IF (
        SELECT c.new IS NOT DISTINCT FROM mine.old
        AND NOT (superseded AND c.old IS NOT DISTINCT FROM mine.new)
        FROM {schema}.pubsubpull_change c
        WHERE c.key::varchar(255) = row_key::varchar(255)
            AND c.key = row_key
            AND c.model = label
            AND c.id > marker
            AND c.id < mine.id
            AND c.xid = pg_current_xact_id()
        ORDER BY c.id DESC
        LIMIT 1
    ) IS NOT FALSE THEN
        RETURN;
    END IF;
    ids := ARRAY(
        SELECT c.id FROM {schema}.pubsubpull_change c
        WHERE c.key::varchar(255) = row_key::varchar(255)
            AND c.key = row_key
            AND c.model = label
            AND c.xid = pg_current_xact_id()
            AND c.id <= mine.id
            AND c.id >= (
                SELECT max(f.id)
                FROM {schema}.pubsubpull_change f
                WHERE f.key::varchar(255) = row_key::varchar(255)
                    AND f.key = row_key
                    AND f.model = label
                    AND f.id > marker
                    AND f.id < mine.id
                    AND f.xid = pg_current_xact_id()
                    AND f.old IS NOT DISTINCT FROM mine.new
            )
        ORDER BY c.id DESC
    );
    -- Rotate the contents and keep the ids. All changes are of the same transaction, so no other
    -- column differs.
    UPDATE {schema}.pubsubpull_change c
    SET at = s.at, op = s.op, request_id = s.request_id, old = s.old, new = s.new
    FROM unnest(ids, ids[2:] || ids[1]) AS moves (place, source)
    JOIN {schema}.pubsubpull_change s ON s.id = moves.source
    WHERE c.id = moves.place;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_put_in_order(text, text, bigint, boolean) FROM PUBLIC;
