-- Write rows into the log once more, as updates without a difference. Return how many. keys: an
-- array of arrays of the key columns' texts.
-- Each row is locked before its change gets an id. A later writer of the row then gets a higher id,
-- and an earlier writer has ended.
CREATE FUNCTION {schema}.pubsubpull_resend(
    relation regclass, label text, columns text[], excluded text[], masked text[], keys jsonb
)
RETURNS bigint LANGUAGE plpgsql VOLATILE
SET jit = off
SET row_security = off
{text_settings}
AS $$
DECLARE
    names text := (
        SELECT string_agg(format('t.%I', c), ', ' ORDER BY i) FROM unnest(columns) WITH ORDINALITY AS u(c, i)
    );
    chosen text := (
        SELECT string_agg('(' || (
            SELECT string_agg(quote_literal(v), ', ' ORDER BY i)
            FROM jsonb_array_elements_text(k) WITH ORDINALITY AS p(v, i)
        ) || ')', ', ')
        FROM jsonb_array_elements(keys) AS k
    );
    request uuid := {schema}.pubsubpull_request_id();
    written bigint;
BEGIN
    IF chosen IS NULL THEN
        RETURN 0;
    END IF;
    -- Assign the transaction id before the changes take their ids: see change_table.1.sql.
    PERFORM pg_current_xact_id();
    EXECUTE format(
        -- MATERIALIZED: lock all rows, in the order of their keys, before the first id is taken.
        'WITH locked AS MATERIALIZED (
             SELECT {schema}.pubsubpull_key(to_jsonb(t.*), $2) AS key,
                 {schema}.pubsubpull_mask(to_jsonb(t.*) - $3, $4) AS j
             FROM %s t WHERE (%s) IN (%s) ORDER BY %s FOR NO KEY UPDATE OF t
         )
         INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, old, new)
         SELECT $1, ''U'', key, $5, j, j
         FROM locked',
        relation, names, chosen, names
    )
    USING label, columns, excluded, masked, request;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_resend(regclass, text, text[], text[], text[], jsonb) FROM PUBLIC;
