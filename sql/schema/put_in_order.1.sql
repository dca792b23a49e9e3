-- Puts the latest change of a key where it belongs among those of this transaction above the id `marker`. The triggers of one statement fire after all
-- its rows were written: where one of them wrote a row again, or where keys were moved onto each other, the log has the later state first.
-- A change belongs right before the one that begins with the state that it ends with. Where that may be either order, as for a row
-- deleted and inserted as it was, `superseded` tells. Nobody else has seen any of them.
CREATE FUNCTION pubsubpull_put_in_order(label text, row_key text, marker bigint, superseded boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    mine record;
    ids bigint[];
BEGIN
    SELECT id, old, new INTO mine FROM pubsubpull_change c
    WHERE c.key = row_key AND c.model = label AND c.id > marker AND c.xid = pg_current_xact_id() ORDER BY c.id DESC LIMIT 1;
    IF (
        SELECT c.new IS NOT DISTINCT FROM mine.old AND NOT (superseded AND c.old IS NOT DISTINCT FROM mine.new) FROM pubsubpull_change c
        WHERE c.key = row_key AND c.model = label AND c.id > marker AND c.id < mine.id AND c.xid = pg_current_xact_id() ORDER BY c.id DESC LIMIT 1
    ) IS NOT FALSE THEN
        RETURN;
    END IF;
    ids := ARRAY(
        SELECT c.id FROM pubsubpull_change c
        WHERE c.key = row_key AND c.model = label AND c.xid = pg_current_xact_id() AND c.id <= mine.id AND c.id >= (
            SELECT max(f.id) FROM pubsubpull_change f
            WHERE f.key = row_key AND f.model = label AND f.id > marker AND f.id < mine.id AND f.xid = pg_current_xact_id()
              AND f.old IS NOT DISTINCT FROM mine.new
        ) ORDER BY c.id DESC
    );
    -- Ids are unique at each step: mine steps aside, the others move up by one place, mine takes the first.
    UPDATE pubsubpull_change SET id = -mine.id WHERE id = mine.id;
    FOR place IN 2 .. coalesce(cardinality(ids), 0) LOOP
        UPDATE pubsubpull_change SET id = ids[place - 1] WHERE id = ids[place];
    END LOOP;
    UPDATE pubsubpull_change SET id = coalesce(ids[cardinality(ids)], mine.id) WHERE id = -mine.id;
END
$$;
REVOKE ALL ON FUNCTION pubsubpull_put_in_order(text, text, bigint, boolean) FROM PUBLIC;
