-- Seals: each stands for the changes from first_id to last_id, and for the seal before it. `marks` has the beginning of each change's digest,
-- so that the one that differs can be named. The hash of the last seal, kept somewhere else, proves all before it.
CREATE TABLE {schema}.pubsubpull_seal (
    id bigint PRIMARY KEY,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    ids bigint[] NOT NULL,
    marks bigint[] NOT NULL,
    digest bytea NOT NULL,
    hash bytea NOT NULL,
    sealed timestamptz NOT NULL DEFAULT clock_timestamp()
);
