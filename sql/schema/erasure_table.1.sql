-- What was erased from the log on somebody's request, in order: of which change, which `op` it was,
-- which columns (NULL: all of the row), when, why and by whom. `digest` is that of the rows as they
-- were, `remains` that of what is left of them, by `salt`; NULL where nothing is. Rows are added
-- only, and `salt` goes when what it is of is erased too: so the seals over a change and over its
-- erasures go on proving what is left.
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
