-- The change log. Whoever writes to it has its transaction id before it takes an id, so that the
-- present never takes an id for settled whose transaction it does not know of yet: each function
-- that writes asks for it first. The primary key orders the log; (xid, id) finds what a transaction
-- wrote, in order; (key, model, id) is the trail of one object. An index row holds 2,704 bytes, so
-- of the key it has the first 255 characters, and a query by key compares these and the key:
-- a longer key is then no reason for a write to fail. The key comes first: it tells two entries
-- apart sooner than the model does, and an index that began with the model would tempt the planner
-- to read a page of the feed by it, and sort. No foreign keys: a write must never wait for, or fail
-- because of, another table.
CREATE TABLE {schema}.pubsubpull_change (
    id bigint NOT NULL DEFAULT nextval('{schema}.pubsubpull_change_id_seq'),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    model text COLLATE "C" NOT NULL,
    op "char" NOT NULL,
    key text COLLATE "C",
    request_id uuid,
    old jsonb,
    new jsonb,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE INDEX pubsubpull_change_xid ON {schema}.pubsubpull_change (xid, id);
CREATE INDEX pubsubpull_change_key ON {schema}.pubsubpull_change ((key::varchar(255)), model, id);
CREATE INDEX pubsubpull_change_request ON {schema}.pubsubpull_change (request_id, id)
WHERE request_id IS NOT NULL;

ALTER SEQUENCE {schema}.pubsubpull_change_id_seq OWNED BY {schema}.pubsubpull_change.id;
