-- What an import has found in another package's tables and is still to bring into the log, one row
-- a change; empty between imports. `place` is the order, `nth` tells changes apart that one object
-- had at the same time, and `why` says why one is not brought in. It has no secrets: what is
-- excluded or masked is so here already.
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
