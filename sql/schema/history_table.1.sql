-- The histories of the log. A history begins with each start of the server, since a start that lost
-- commits looks the same as a start that lost none.
-- after is the newest tick at that time, which is the last tick of the previous history. Rows are
-- only added. written is the transaction that wrote the row: a row from a restored dump has a
-- foreign transaction id and is no history of this log.
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
