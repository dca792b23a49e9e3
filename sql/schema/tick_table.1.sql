-- The snapshots that were given out: each is committed, and so flushed, before anybody holds a
-- cursor of it, and with it whatever it had seen end, a rollback too. No number of a transaction
-- and no id below it is given out twice after a crash. Rows are only added, and the old ones
-- deleted; the newest is read by the end of the primary key, however long vacuum is held back.
-- n is the place in the write-ahead log, in bytes, after the snapshot was taken: all that it has
-- seen end is in the log before. So where a tick has survived a failover, all that ticks of a lower
-- number had seen has, too; however many are made at once, none waits for another.
-- top is an id that no transaction of the snapshot goes beyond, seq one that the sequence had
-- reached before it, and at or below floor all had ended.
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
