-- Capture like django-pubsubpull 0.1.2, written anew for this comparison: a generic trigger once a
-- row. It stores the row before and after as row_to_json returns it, and the request's id from the
-- session's setting, NULL without one.
CREATE TABLE by_row_request (id serial PRIMARY KEY, method varchar(20) NOT NULL, path text NOT NULL);
INSERT INTO by_row_request (method, path) VALUES ('POST', '/orders/');
CREATE TABLE by_row_log (
    id serial PRIMARY KEY,
    "table" varchar(200) NOT NULL,
    type varchar(1) NOT NULL,
    "when" timestamptz NOT NULL,
    request_id integer REFERENCES by_row_request DEFERRABLE INITIALLY DEFERRED,
    old jsonb,
    new jsonb
);
CREATE INDEX ON by_row_log (request_id);

CREATE FUNCTION by_row_record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    request integer;
BEGIN
    BEGIN
        request := current_setting('by_row.request');
    EXCEPTION WHEN OTHERS THEN
        request := NULL;
    END;
    INSERT INTO by_row_log ("table", type, "when", request_id, old, new)
    SELECT tg_table_name, left(tg_op, 1), now(), request,
           CASE WHEN tg_op <> 'INSERT' THEN row_to_json(old)::jsonb END, CASE WHEN tg_op <> 'DELETE' THEN row_to_json(new)::jsonb END;
    RETURN NULL;
END
$$;
CREATE TRIGGER by_row AFTER INSERT OR UPDATE OR DELETE ON benchmarks_byrow FOR EACH ROW EXECUTE FUNCTION by_row_record();
