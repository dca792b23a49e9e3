-- The histories of the log: one begins with each start of the server, since nobody can tell a start
-- that lost commits from one that lost none.
-- after is the newest tick that was there then, and so the last one of the history before. Rows are
-- only added, with the transaction that wrote them in written: what a dump brings back has that of
-- another, and is no history of this log.
CREATE TABLE {schema}.pubsubpull_history (
    token bigint PRIMARY KEY,
    after bigint NOT NULL,
    began timestamptz NOT NULL DEFAULT clock_timestamp(),
    system_identifier bigint NOT NULL,
    database oid NOT NULL,
    log oid NOT NULL,
    written bigint
);

CREATE UNIQUE INDEX pubsubpull_history_after ON {schema}.pubsubpull_history (after);
