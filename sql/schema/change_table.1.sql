-- The change log.
-- Every function that writes here calls pg_current_xact_id() before it takes an id. The present
-- then never counts an id as settled while its transaction is still unknown.
-- The primary key orders the log; (xid, id) finds the changes of a transaction in order; (key,
-- model, id) is the trail of an object. An index row holds 2,704 bytes, so the index has the first
-- 255 characters of the key: a longer key must not make a write fail. A query by key compares both
-- the prefix and the key.
-- The key comes before the model: it distinguishes entries sooner, and an index that begins with
-- the model would tempt the planner to read a page of the feed by it and sort.
-- No foreign keys: a write must never wait for another table or fail because of it.
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
