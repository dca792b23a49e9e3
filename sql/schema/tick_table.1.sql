-- The snapshots that cursors are made of. A tick is committed and flushed before a reader gets a
-- cursor of it. So is every end of a transaction that it has seen, a rollback too: no transaction
-- number and no id below it is given out twice after a crash.
-- Rows are only added, and the old ones deleted. The newest is read from the end of the primary
-- key, so that delayed vacuum does not slow it down.
-- n is the position in the write-ahead log, in bytes, after the snapshot was taken. Every
-- transaction that the snapshot has seen end is in the log before it. If a failover keeps a tick,
-- it keeps everything seen by ticks with lower numbers, too. Concurrent ticks do not wait for each
-- other.
-- top is an id that no transaction of the snapshot exceeds. seq is an id that the sequence had
-- reached before the snapshot. All transactions with ids at or below floor had ended.
CREATE TABLE {schema}.pubsubpull_tick (
    n bigint NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    history bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    seq bigint NOT NULL,
    floor bigint NOT NULL,
    top bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (n, xid)
);
