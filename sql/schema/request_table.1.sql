-- One row a request and writing transaction, made by the first change of each. The transaction is
-- part of the key so that two transactions of one request that run at the same time never wait for
-- each other; readers take the first row.
-- It is closed by a seal over a change of it, where its end had not been noted before.
CREATE TABLE {schema}.pubsubpull_request (
    id uuid NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    user_id text,
    user_name text,
    method text,
    path text,
    route text,
    ip text,
    user_agent text,
    correlation_id text,
    traceparent text,
    tracestate text,
    source text NOT NULL,
    started timestamptz NOT NULL,
    duration double precision,
    status integer,
    metadata jsonb NOT NULL DEFAULT '{{}}',
    closed boolean,
    PRIMARY KEY (id, xid)
);

CREATE INDEX pubsubpull_request_started ON {schema}.pubsubpull_request (started);
-- The first of the user's characters, as of the log's keys: what one index row cannot hold must not
-- stop a write.
CREATE INDEX pubsubpull_request_user ON {schema}.pubsubpull_request ((user_id::varchar(255)), started)
WHERE user_id IS NOT NULL;
-- Of each change that is sent the trace is looked up: where requests have none, that is an empty
-- index.
CREATE INDEX pubsubpull_request_trace ON {schema}.pubsubpull_request (id, xid) WHERE traceparent IS NOT NULL;
