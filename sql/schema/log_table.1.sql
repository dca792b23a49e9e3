-- What is known of the log as a whole; one row. epoch names its history: it holds in one database of one cluster.
-- Changes at or below restored are older than it, so their transaction ids mean nothing here. Every transaction that holds an id at or below
-- settled has ended. All changes at or below dropped are gone, and the newest transaction that wrote one of them is dropped_xid.
-- (next_settled, next_xid): the next settled id, and the transaction that must be past before it holds.
CREATE TABLE pubsubpull_log (
    epoch bigint PRIMARY KEY,
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    restored bigint NOT NULL,
    settled bigint NOT NULL,
    dropped bigint NOT NULL DEFAULT 0,
    dropped_xid xid8 NOT NULL DEFAULT '0',
    next_settled bigint,
    next_xid xid8
);

CREATE UNIQUE INDEX pubsubpull_log_one_row ON pubsubpull_log ((true));
