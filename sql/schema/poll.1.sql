-- Return the new changes for a reader that waits at the end of the log: those above `low` up to
-- `top` that the snapshot `seen` lacks and `upto` has, at most `at_most`. The columns are their
-- number, the id of the last, their items, and the id up to which the log had been deleted.
-- Return nothing if a single look does not suffice: because of `restored`, `standby` or the number
-- of ids, for a large value, or for a row with a column that is `excluded` by now, or masked by now
-- and different from `stars`. The caller knows that no transaction outside its snapshot has an id
-- at or below `low`.
-- This is a function because it keeps its statement's plan: planning the page takes several times
-- as long as reading it. A plan without known values needs to be told to read by the index. Before
-- PostgreSQL 18 this makes a statement without an index so expensive that it would be compiled,
-- hence jit is off.
CREATE FUNCTION {schema}.pubsubpull_poll(
    wanted text[], low bigint, top bigint, seen pg_snapshot, upto pg_snapshot, restored bigint,
    standby boolean, at_most bigint, whole boolean, excluded text[], stars jsonb,
    OUT gone bigint, OUT count bigint, OUT last bigint, OUT items text
)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off AS $$
DECLARE
    large boolean;
BEGIN
    IF top <= low OR top - low > at_most OR low < restored OR standby THEN
        RETURN;
    END IF;
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
        AND NOT pg_visible_in_snapshot(xid, seen) AND pg_visible_in_snapshot(xid, upto);
    IF large THEN
        count := NULL;
    END IF;
END
$$;
