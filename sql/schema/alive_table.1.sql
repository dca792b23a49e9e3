-- The marker of the current history; a single row. The table is unlogged, so that every recovery
-- empties it: after a crash, on the promotion of a standby, from a base backup.
-- The row also names the start of the server (to notice copied files), the database (to notice a
-- copy made by CREATE DATABASE ... TEMPLATE), the log's table and the writing transaction (to
-- notice a restored dump).
CREATE UNLOGGED TABLE {schema}.pubsubpull_alive (
    history bigint NOT NULL,
    started timestamptz NOT NULL,
    database oid NOT NULL,
    log oid NOT NULL,
    written bigint
);
