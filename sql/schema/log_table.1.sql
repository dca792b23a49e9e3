-- What is known of the log as a whole; one row.
-- Changes at or below restored came from another database, or from an earlier state of this one, so
-- their transaction ids mean nothing here.
-- Every transaction that holds an id at or below settled has ended. All changes at or below dropped
-- are gone, and the newest transaction that wrote one of them is dropped_xid. (next_settled,
-- next_xid): the next settled id, and the transaction that must be past before it holds.
CREATE TABLE {schema}.pubsubpull_log (
    restored bigint NOT NULL,
    settled bigint NOT NULL,
    dropped bigint NOT NULL DEFAULT 0,
    dropped_xid xid8 NOT NULL DEFAULT '0',
    next_settled bigint,
    next_xid xid8
);

CREATE UNIQUE INDEX pubsubpull_log_one_row ON {schema}.pubsubpull_log ((true));
