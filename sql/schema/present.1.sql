-- The present of the log: where something has come since the newest tick, a new tick, else that
-- one. Each line is a statement with a snapshot of its own, so the function is volatile. seq is
-- read before the snapshot and top after it: a transaction not in the snapshot may hold an id at or
-- below seq, and no transaction in it holds one above top. Every transaction that holds an id at or
-- below floor had ended then; settled is what the log says of that. reached is an id that the
-- sequence has reached now, past are the histories that have ended, each with its last tick.
-- On a standby, and in a transaction that writes nothing or keeps to one snapshot, no tick can be
-- made, and the newest one at hand is the present:
-- all that it has seen is there, since it was committed after that.
CREATE FUNCTION {schema}.pubsubpull_present(
    OUT history bigint, OUT tick bigint, OUT seq bigint, OUT snapshot text, OUT top bigint,
    OUT restored bigint, OUT settled bigint, OUT floor bigint, OUT dropped bigint, OUT dropped_xid bigint,
    OUT standby boolean, OUT reached bigint, OUT past text
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    last record;
    taken pg_snapshot;
    mine xid8;
    ended xid8[];
    moved boolean;
BEGIN
    standby := current_setting('transaction_read_only') = 'on'
        OR current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted');
    IF NOT standby AND NOT {schema}.pubsubpull_is_alive() THEN
        PERFORM {schema}.pubsubpull_begin_history();
    END IF;
    SELECT * INTO last FROM {schema}.pubsubpull_tick t ORDER BY t.n DESC, t.xid DESC LIMIT 1;
    SELECT l.restored, l.settled, l.dropped, l.dropped_xid::text::bigint
    INTO restored, settled, dropped, dropped_xid
    FROM {schema}.pubsubpull_log l;
    past := (
        SELECT string_agg(h.token || ':' || h.until, ',')
        FROM (
            SELECT o.token, lead(o.after) OVER (ORDER BY o.after) AS until FROM {schema}.pubsubpull_history o
        ) AS h
        WHERE h.until IS NOT NULL);
    IF standby THEN
        reached := (
            SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.pubsubpull_change_id_seq
        );
        IF NOT EXISTS (
            SELECT
            FROM {schema}.pubsubpull_history h
            WHERE h.token = last.history AND h.written = h.xmin::text::bigint
                AND h.system_identifier = (pg_control_system()).system_identifier
        ) THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = 'the log has no tick yet that a standby or '
                    'a transaction that writes nothing could serve',
                HINT = 'Let a delivery worker run on the primary, or have it asked for changes once.';
        END IF;
    ELSE
        -- In this order, each a statement of its own: see above.
        seq := (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.pubsubpull_change_id_seq);
        taken := pg_current_snapshot();
        top := (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.pubsubpull_change_id_seq);
        reached := top;
        -- The most frequent case, first: at the newest tick nobody was writing, and no id has been
        -- taken since.
        IF top <> last.top OR last.floor < last.top THEN
            mine := pg_current_xact_id_if_assigned();
            IF mine < pg_snapshot_xmax(taken) THEN  -- a snapshot does not list the transaction that takes it
                taken := format('%s:%s:%s', least(mine, pg_snapshot_xmin(taken)), pg_snapshot_xmax(taken), (
                    SELECT string_agg(x::text, ',' ORDER BY x)
                    FROM (SELECT pg_snapshot_xip(taken) UNION SELECT mine) AS running (x)));
            END IF;
            floor := least(settled, seq);
            -- Where no transaction has begun to write that has not ended, none holds an id at or
            -- below seq. The snapshot tells of those below its xmax, age() how many there have been
            -- from there on. But it counts them once a transaction, and not at all in one with an
            -- id of its own.
            IF mine IS NULL
                AND statement_timestamp() = transaction_timestamp()
                AND current_setting('pubsubpull.counted', true) IS DISTINCT FROM 'yes'
                AND pg_snapshot_xmin(taken) = pg_snapshot_xmax(taken) THEN
                PERFORM set_config('pubsubpull.counted', 'yes', true);
                floor := CASE WHEN age(pg_snapshot_xmax(taken)::xid) = 0 THEN seq ELSE floor END;
            END IF;
            -- Each further expression is one of its own, since a statement opens all that it may
            -- read, the log's partitions too.
            moved := floor >= top
                OR pg_snapshot_xmax(taken)::text::bigint
                    - pg_snapshot_xmax(last.snapshot)::text::bigint >= 200;
            IF NOT moved THEN  -- somebody may be writing: has any that wrote ended since?
                ended := ARRAY(
                    SELECT x FROM (
                        SELECT pg_snapshot_xip(last.snapshot) UNION ALL
                        SELECT n::text::xid8 FROM generate_series(
                            pg_snapshot_xmax(last.snapshot)::text::bigint,
                            pg_snapshot_xmax(taken)::text::bigint - 1) AS n
                    ) AS since (x) WHERE pg_visible_in_snapshot(x, taken));
                moved := EXISTS (
                    SELECT FROM {schema}.pubsubpull_change c WHERE c.xid = ANY(ended) AND c.id > last.floor
                );
            END IF;
            IF moved THEN
                tick := {schema}.pubsubpull_tick(last.history, taken, seq, floor, top);
                history := last.history;
                snapshot := taken::text;
                RETURN;
            END IF;
        END IF;
    END IF;
    history := last.history;
    tick := last.n;
    seq := last.seq;
    snapshot := last.snapshot::text;
    top := last.top;
    floor := last.floor;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_present() FROM PUBLIC;
