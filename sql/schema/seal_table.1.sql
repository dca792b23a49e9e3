-- The chain of seals. Each stands for what it lists, and by its hash for all seals before it, so
-- that the last hash, kept somewhere else, proves all of them. Its kind says what it lists:
-- `changes` and `imported` changes, `erasures`, or nothing for `retention`, which says that
-- captured changes up to last_id and imported ones below first_id had gone, all older than
-- `newest`. `times`, `newest` and `sealed` are microseconds since 1970. `leaves` has 32 bytes for
-- each of `ids`: its digest; `salts` 16 bytes for each, zeros once it is erased, so that nobody can
-- try what it was. Of a seal whose changes have all gone by retention the lists go too. Clients
-- make all digests: see docs/audit.md.
CREATE TABLE {schema}.pubsubpull_seal (
    id bigint PRIMARY KEY,
    kind text NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    newest bigint NOT NULL,
    ids bigint[],
    times bigint[],
    leaves bytea,
    salts bytea,
    digest bytea NOT NULL,
    hash bytea NOT NULL,
    sealed bigint NOT NULL
);

CREATE INDEX pubsubpull_seal_range ON {schema}.pubsubpull_seal (kind, last_id);
