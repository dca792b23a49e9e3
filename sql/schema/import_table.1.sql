-- The changes that an import has staged and not moved into the log yet, a row each; empty between
-- imports.
-- `place` is their order, `nth` distinguishes changes of an object with the same time, and `why` is
-- the reason for leaving a change out. Excluded and masked values are already absent here.
CREATE UNLOGGED TABLE {schema}.pubsubpull_import (
    model text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    place bigint NOT NULL,
    nth bigint NOT NULL,
    op "char" NOT NULL,
    key text COLLATE "C" NOT NULL,
    old jsonb,
    new jsonb,
    request jsonb NOT NULL,
    why text,
    PRIMARY KEY (model, at, place)
);
REVOKE ALL ON {schema}.pubsubpull_import FROM PUBLIC;
