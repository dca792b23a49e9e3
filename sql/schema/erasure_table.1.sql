-- What was erased from the log on somebody's request: which change, when, why, by whom, and the digest that the change had.
CREATE TABLE {schema}.pubsubpull_erasure (
    change_id bigint PRIMARY KEY,
    model text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    erased timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_by text NOT NULL,
    reason text NOT NULL
);
