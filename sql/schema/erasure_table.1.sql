-- The erasures from the log, in order: the change, its original `op`, the columns (NULL: the whole
-- row), the time, the reason and the user.
-- `digest` is of the rows before the erasure. `remains` is the digest of the remaining values with
-- `salt`; NULL if nothing remains. Rows are only added. `salt` is removed when the remaining values
-- are erased, too. The seals over a change and over its erasures therefore go on proving what
-- remains.
CREATE TABLE {schema}.pubsubpull_erasure (
    id bigint PRIMARY KEY,
    change_id bigint NOT NULL,
    model text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    op "char" NOT NULL,
    columns text[],
    digest bytea NOT NULL,
    remains bytea,
    salt bytea,
    erased timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_by text NOT NULL,
    reason text NOT NULL
);

CREATE INDEX pubsubpull_erasure_change ON {schema}.pubsubpull_erasure (change_id, id);
CREATE INDEX pubsubpull_erasure_key ON {schema}.pubsubpull_erasure ((key::varchar(255)), model);
