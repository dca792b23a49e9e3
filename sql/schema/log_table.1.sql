-- The state of the log as a whole; a single row.
-- restored: changes at or below it came from another database, or from an earlier state of this
-- one. Their transaction ids mean nothing here.
-- settled: every transaction with an id at or below it has ended. dropped: all changes at or below
-- it are gone; dropped_xid is the newest transaction that wrote one of them.
-- (next_settled, next_xid): the next settled id, and the transaction that must have ended before it
-- holds.
CREATE TABLE {schema}.pubsubpull_log (
    restored bigint NOT NULL,
    settled bigint NOT NULL,
    dropped bigint NOT NULL DEFAULT 0,
    dropped_xid xid8 NOT NULL DEFAULT '0',
    next_settled bigint,
    next_xid xid8
);

CREATE UNIQUE INDEX pubsubpull_log_one_row ON {schema}.pubsubpull_log ((true));
