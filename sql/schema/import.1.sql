-- Brings the next changes of a model from pubsubpull_import into the log, with their requests: at most `at_most`, after the place (after_at,
-- after_place). Each gets the first free id from its moment on, so that ids go with time and no two are one. Changes that are in the log
-- already are passed by. xid is 0: no transaction of the log wrote them, and the feed, which begins above 0, never reads them.
CREATE FUNCTION pubsubpull_import(
    label text, after_at timestamptz, after_place bigint, at_most integer, OUT looked bigint, OUT written bigint, OUT last_at timestamptz, OUT last_place bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one record;
    slot bigint;
    taken bigint;
    moments timestamptz[] := '{}';
    places bigint[] := '{}';
    ids bigint[] := '{}';
BEGIN
    PERFORM pg_advisory_xact_lock('pubsubpull_change'::regclass::oid::integer, 2);
    looked := 0;
    FOR one IN
        SELECT i.at, i.place, i.why IS NULL AND i.nth > (
            SELECT count(*) FROM pubsubpull_change c
            WHERE c.key = i.key AND c.model = label AND c.id >= pubsubpull_past_id(i.at) AND c.id < least(0, pubsubpull_past_id(i.at) + 3600000000)
              AND c.at = i.at AND c.op = i.op) AS fresh
        FROM pubsubpull_import i WHERE i.model = label AND (i.at, i.place) > (after_at, after_place) ORDER BY i.at, i.place LIMIT at_most
    LOOP
        looked := looked + 1;
        last_at := one.at;
        last_place := one.place;
        CONTINUE WHEN NOT one.fresh;
        slot := greatest(slot + 1, pubsubpull_past_id(one.at));
        WHILE coalesce(taken <= slot, true) LOOP
            IF taken = slot THEN
                slot := slot + 1;
            END IF;
            taken := coalesce((SELECT min(id) FROM pubsubpull_change WHERE id >= slot AND id < 0), 0);
        END LOOP;
        moments := moments || one.at;
        places := places || one.place;
        ids := ids || slot;
    END LOOP;
    INSERT INTO pubsubpull_request SELECT r.* FROM (
        SELECT DISTINCT ON (i.request ->> 'id') i.request
        FROM unnest(moments, places) AS p (at, place) JOIN pubsubpull_import i ON i.model = label AND i.at = p.at AND i.place = p.place ORDER BY i.request ->> 'id', i.at
    ) AS d CROSS JOIN LATERAL jsonb_populate_record(NULL::pubsubpull_request, '{"xid": "0", "metadata": {}}' || d.request) AS r
    ON CONFLICT (id, xid) DO NOTHING;
    INSERT INTO pubsubpull_change (id, xid, at, model, op, key, request_id, old, new)
    SELECT p.id, '0', i.at, label, i.op, i.key, (i.request ->> 'id')::uuid, i.old, i.new
    FROM unnest(moments, places, ids) AS p (at, place, id) JOIN pubsubpull_import i ON i.model = label AND i.at = p.at AND i.place = p.place;
    written := cardinality(ids);
END
$$;
REVOKE ALL ON FUNCTION pubsubpull_import(text, timestamptz, bigint, integer) FROM PUBLIC;
