-- Move the next staged changes of a model from pubsubpull_import into the log, with their requests:
-- at most `at_most`, after the position (after_at, after_place), whose last change got the id
-- `after_id`.
-- Each change gets the first free id from its time on, so that ids are unique and ascend with time.
-- Changes that the log has already are skipped, and so are changes of objects erased since they
-- were staged. xid is 0, since no transaction of the log wrote them: the feed, which begins above
-- 0, never reads them.
-- enable_nestloop is off, since the planner has no statistics of rows staged a moment ago and would
-- take them for few.
CREATE FUNCTION {schema}.pubsubpull_import(
    label text, after_at timestamptz, after_place bigint, after_id bigint, at_most integer,
    OUT looked bigint, OUT written bigint, OUT last_at timestamptz, OUT last_place bigint, OUT last_id bigint
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_nestloop = off AS $$
DECLARE
    one record;
    first bigint;
    beyond bigint;
    slot bigint := after_id;
    taken bigint;
    stride integer := 1;
    run integer;
    moments timestamptz[] := '{{}}';
    places bigint[] := '{{}}';
    ids bigint[] := '{{}}';
BEGIN
    -- Lock out erasures: an object erased meanwhile must not come back.
    PERFORM pg_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 2);
    looked := 0;
    SELECT {schema}.pubsubpull_past_id(min(b.at)),
        least(0, {schema}.pubsubpull_past_id(max(b.at)) + 3600000000)
    INTO first, beyond
    FROM (
        SELECT i.at
        FROM {schema}.pubsubpull_import i
        WHERE i.model = label AND (i.at, i.place) > (after_at, after_place)
        ORDER BY i.at, i.place
        LIMIT at_most
    ) AS b;
    FOR one IN
        -- MATERIALIZED: count the log's changes once, and not once for each staged change.
        WITH there AS MATERIALIZED (
            SELECT c.key, c.at, c.op, count(*) AS n FROM {schema}.pubsubpull_change c
            WHERE c.id >= first AND c.id < beyond AND c.model = label GROUP BY c.key, c.at, c.op
        )
        SELECT b.at, b.place, b.why IS NULL AND b.nth > coalesce(t.n, 0) AND NOT EXISTS (
            SELECT
            FROM {schema}.pubsubpull_erasure e
            WHERE e.key::varchar(255) = b.key::varchar(255)
                AND e.key = b.key
                AND e.model = label
                AND e.columns IS NULL
        ) AS fresh FROM (
            SELECT i.* FROM {schema}.pubsubpull_import i
            WHERE i.model = label AND (i.at, i.place) > (after_at, after_place)
            ORDER BY i.at, i.place
            LIMIT at_most
        ) AS b LEFT JOIN there t ON t.key = b.key AND t.at = b.at AND t.op = b.op ORDER BY b.at, b.place
    LOOP
        looked := looked + 1;
        last_at := one.at;
        last_place := one.place;
        CONTINUE WHEN NOT one.fresh;
        slot := greatest(slot + 1, {schema}.pubsubpull_past_id(one.at));
        WHILE coalesce(taken <= slot, true) LOOP
            IF taken = slot THEN
                -- Skip all ids that follow each other without a gap. There are many if a statement
                -- wrote many changes with the same time.
                run := (SELECT count(*) FROM (
                    SELECT id, row_number() OVER (ORDER BY id) AS n
                    FROM {schema}.pubsubpull_change
                    WHERE id >= slot AND id < 0
                    ORDER BY id
                    LIMIT stride
                ) AS c WHERE c.id = slot + c.n - 1);
                stride := CASE WHEN run = stride THEN least(stride * 4, 10000) ELSE 1 END;
                slot := slot + run;
            END IF;
            taken := coalesce(
                (SELECT min(id) FROM {schema}.pubsubpull_change WHERE id >= slot AND id < 0), 0
            );
        END LOOP;
        moments := moments || one.at;
        places := places || one.place;
        ids := ids || slot;
    END LOOP;
    INSERT INTO {schema}.pubsubpull_request SELECT r.* FROM (
        SELECT DISTINCT ON (i.request ->> 'id') i.request
        FROM unnest(moments, places) AS p (at, place)
        JOIN {schema}.pubsubpull_import i ON i.model = label AND i.at = p.at AND i.place = p.place
        ORDER BY i.request ->> 'id', i.at
    ) AS d
    CROSS JOIN LATERAL jsonb_populate_record(
        NULL::{schema}.pubsubpull_request, '{{"xid": "0", "metadata": {{}}}}' || d.request
    ) AS r
    ON CONFLICT (id, xid) DO NOTHING;
    INSERT INTO {schema}.pubsubpull_change (id, xid, at, model, op, key, request_id, old, new)
    SELECT p.id, '0', i.at, label, i.op, i.key, (i.request ->> 'id')::uuid, i.old, i.new
    FROM unnest(moments, places, ids) AS p (at, place, id)
    JOIN {schema}.pubsubpull_import i ON i.model = label AND i.at = p.at AND i.place = p.place;
    written := cardinality(ids);
    last_id := slot;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_import(text, timestamptz, bigint, bigint, integer) FROM PUBLIC;
