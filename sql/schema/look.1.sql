-- The present of the log and, where that is easily said, the page of the changes above `low` that
-- the snapshot `since` had not seen, at most `at_most` of them: how many, the id of the last, and
-- their items; else nothing of these. For a reader who waits at the end of the log, and knows that
-- no transaction it has not seen holds an id at or below `low`. A function, since it keeps its
-- statements' plans: to plan the page takes several times as long as to read it. As nothing is
-- known of the values then, it is told to read by the index, whatever the table holds; to
-- PostgreSQL before 18 that makes a statement without an index so dear that it would be compiled.
-- Where a value is large, nothing is said either, nor where one has a column that is `excluded` by
-- now, or is masked by now and does not hold what `stars` says.
CREATE FUNCTION {schema}.pubsubpull_look(
    wanted text[], low bigint, since pg_snapshot, at_most bigint, whole boolean, excluded text[], stars jsonb,
    OUT history bigint, OUT tick bigint, OUT seq bigint, OUT snapshot text, OUT top bigint,
    OUT restored bigint, OUT settled bigint, OUT floor bigint, OUT dropped bigint, OUT dropped_xid bigint,
    OUT standby boolean, OUT reached bigint, OUT past text,
    OUT gone bigint, OUT count bigint, OUT last bigint, OUT items text
)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off AS $$
DECLARE
    upto pg_snapshot;
    large boolean;
BEGIN
    SELECT p.history, p.tick, p.seq, p.snapshot, p.top, p.restored, p.settled, p.floor, p.dropped,
        p.dropped_xid, p.standby, p.reached, p.past
    INTO history, tick, seq, snapshot, top, restored, settled, floor, dropped, dropped_xid, standby, reached,
        past
    FROM {schema}.pubsubpull_present() AS p;
    IF top <= low OR top - low > at_most OR low < restored OR standby THEN
        RETURN;
    END IF;
    upto := snapshot;
    SELECT (SELECT l.dropped FROM {schema}.pubsubpull_log l), count(*), max(id),
        bool_or(
            size > 2000
            OR coalesce(new ?| excluded OR NOT new @> coalesce(stars -> model, '{{}}'), false)
            OR coalesce(old ?| excluded OR NOT old @> coalesce(stars -> model, '{{}}'), false)
        ),
        coalesce(string_agg({item}, ',' ORDER BY id) FILTER (WHERE size <= 2000), '')
    INTO gone, count, last, large, items
    FROM (
        SELECT *, coalesce(pg_column_size(old), 0) + coalesce(pg_column_size(new), 0) AS size
        FROM {schema}.pubsubpull_change
    ) AS c
    WHERE id > low AND id <= top AND op <> 'E' AND model = ANY(wanted)
      AND NOT pg_visible_in_snapshot(xid, since) AND pg_visible_in_snapshot(xid, upto);
    IF large THEN
        count := NULL;
    END IF;
END
$$;
