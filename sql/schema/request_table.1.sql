-- The requests, a row for each pair of request and writing transaction, made by its first change.
-- The transaction is part of the key so that two concurrent transactions of a request never wait
-- for each other. Readers take the first row.
-- A seal over a change closes the request if its end was not recorded before.
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
-- Index the first characters of the user only, as for the log's keys: a long value must not make a
-- write fail.
CREATE INDEX pubsubpull_request_user ON {schema}.pubsubpull_request ((user_id::varchar(255)), started)
WHERE user_id IS NOT NULL;
-- The trace is looked up for each change that is sent. If requests have none, the index is empty.
CREATE INDEX pubsubpull_request_trace ON {schema}.pubsubpull_request (id, xid) WHERE traceparent IS NOT NULL;
