-- The chain of seals. A seal covers its list and, by its hash, all earlier seals: the last hash,
-- kept elsewhere, proves all of them.
-- Its kind names the list: `changes` and `imported` changes, `erasures`, or nothing for
-- `retention`. A `retention` seal says that captured changes up to last_id and imported ones below
-- first_id had been deleted, all older than `newest`.
-- `times`, `newest` and `sealed` are microseconds since 1970. `leaves` has 32 bytes for each of
-- `ids`: its digest. `salts` has 16 bytes for each, zeros once it is erased, so that the erased
-- values cannot be guessed. The lists are removed once retention has deleted all changes of a seal.
-- Clients compute all digests: see docs/audit.md.
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
