-- The present of the log. seq is read before the snapshot and top after it: a transaction not in the snapshot may hold an id at or below seq,
-- and no transaction in it holds one above top. Each line is a statement with a snapshot of its own, so the function is volatile.
-- Every transaction that holds an id at or below floor had ended then; settled is what the log says of that.
-- On a standby a snapshot does not list the running transactions, so it is cut at the oldest of them.
CREATE FUNCTION pubsubpull_present(
    OUT epoch bigint, OUT seq bigint, OUT snapshot text, OUT top bigint, OUT restored bigint, OUT settled bigint, OUT floor bigint,
    OUT dropped bigint, OUT dropped_xid bigint, OUT standby boolean
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    system bigint := (pg_control_system()).system_identifier;
    db oid := (SELECT oid FROM pg_database WHERE datname = current_database());
    taken pg_snapshot;
BEGIN
    standby := pg_is_in_recovery();
    SELECT l.epoch, l.restored, l.settled, l.dropped, l.dropped_xid::text::bigint INTO epoch, restored, settled, dropped, dropped_xid
    FROM pubsubpull_log l WHERE system_identifier = system AND database = db;
    IF NOT FOUND THEN
        PERFORM pubsubpull_new_epoch(system, db);
        SELECT l.epoch, l.restored, l.settled, l.dropped, l.dropped_xid::text::bigint
        INTO epoch, restored, settled, dropped, dropped_xid FROM pubsubpull_log l;
    END IF;
    seq := (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pubsubpull_change_id_seq);
    taken := pg_current_snapshot();
    top := (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pubsubpull_change_id_seq);
    IF standby THEN
        taken := format('%s:%s:', pg_snapshot_xmin(taken), pg_snapshot_xmin(taken))::pg_snapshot;
    END IF;
    floor := least(settled, seq);
    -- Where no transaction has begun to write that has not ended, none holds an id at or below seq. The snapshot tells of those below its xmax,
    -- age() how many there have been from there on. But it counts them once a transaction, and not at all in one that has an id of its own.
    IF NOT standby AND statement_timestamp() = transaction_timestamp() AND current_setting('pubsubpull.counted', true) IS DISTINCT FROM 'yes'
        AND pg_current_xact_id_if_assigned() IS NULL AND pg_snapshot_xmin(taken) = pg_snapshot_xmax(taken) THEN
        PERFORM set_config('pubsubpull.counted', 'yes', true);
        floor := CASE WHEN age(pg_snapshot_xmax(taken)::xid) = 0 THEN seq ELSE floor END;
    END IF;
    snapshot := taken::text;
END
$$;
