-- The marker of the history that goes on; one row. It is unlogged: recovery empties it, be it from
-- a crash, of a standby that is promoted, of a base backup. It names the start of the server, for a
-- copy of files that were at rest; the database, for one made from it as a template; the log's
-- table, and the transaction that wrote the row, for a dump that is restored.
CREATE UNLOGGED TABLE {schema}.pubsubpull_alive (
    history bigint NOT NULL,
    started timestamptz NOT NULL,
    database oid NOT NULL,
    log oid NOT NULL,
    written bigint
);
