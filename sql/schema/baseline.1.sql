-- Write the given rows into the log, as updates without a difference, unless the log has a change
-- of the row above the id `since`. Return how many were written, and the keys of the rows that
-- other sessions have locked.
-- Unless `patient`, never wait for a lock while other rows are locked. keys: an array of arrays of
-- the key columns' texts.
-- Lock each row first, and only then look for it in the log. A later writer of the row gets a
-- higher id, and every change committed before the lock is visible.
CREATE FUNCTION {schema}.pubsubpull_baseline(
    relation regclass, label text, columns text[], excluded text[], masked text[], keys jsonb, since bigint,
    patient boolean,
    OUT written bigint, OUT skipped jsonb
) LANGUAGE plpgsql VOLATILE
SET jit = off
SET row_security = off
{text_settings}
AS $$
DECLARE
    names text := (
        SELECT string_agg(format('t.%I', c), ', ' ORDER BY i) FROM unnest(columns) WITH ORDINALITY AS u(c, i)
    );
    texts text := (
        SELECT string_agg(format('t.%I::text', c), ', ' ORDER BY i)
        FROM unnest(columns) WITH ORDINALITY AS u(c, i)
    );
    key_of text := CASE
        WHEN cardinality(columns) = 1 THEN format('to_jsonb(%s) #>> ''{{}}''', names)
        ELSE format('jsonb_build_array(%s)::text', names)
    END;
    unknown text := format(  -- LIMIT keeps this a lookup by the index for each row
        '(SELECT c.id FROM {schema}.pubsubpull_change c
          WHERE c.model = %1$L AND c.key::varchar(255) = (%2$s)::varchar(255) AND c.key = %2$s AND c.id > %3$s
          LIMIT 1) IS NULL',
        label, key_of, since
    );
    guarded text[] := {schema}.pubsubpull_guarded_columns(relation);
    row_of text := CASE
        WHEN guarded = '{{}}' THEN 'to_jsonb(t.*)'
        ELSE format('{schema}.pubsubpull_guarded(t, %L::oid, %L::text[])', relation::oid, guarded)
    END;
    -- Each array of texts becomes a row of literals, which PostgreSQL reads as the columns' types.
    listed text := 'SELECT string_agg(''('' || (
            SELECT string_agg(quote_literal(v), '', '' ORDER BY i)
            FROM jsonb_array_elements_text(k) WITH ORDINALITY AS p(v, i)
        ) || '')'', '', '')
        FROM jsonb_array_elements($1) AS k';
    chosen text;
    locked jsonb;
BEGIN
    written := 0;
    EXECUTE listed INTO chosen USING keys;
    EXECUTE format(
        'SELECT jsonb_agg(jsonb_build_array(%s)) FROM %s t WHERE (%s) IN (%s) AND %s',
        texts, relation, names, chosen, unknown
    )
    INTO keys;
    EXECUTE listed INTO chosen USING keys;
    IF chosen IS NULL THEN
        RETURN;
    END IF;
    -- Lock in the order of the keys, so that two concurrent calls never wait for each other.
    EXECUTE format(
        'SELECT jsonb_agg(k)
         FROM (
             SELECT jsonb_build_array(%1$s) AS k
             FROM %2$s t
             WHERE (%3$s) IN (%4$s)
             ORDER BY %3$s
             FOR NO KEY UPDATE OF t%5$s
         ) AS l',
        texts, relation, names, chosen, CASE WHEN patient THEN '' ELSE ' SKIP LOCKED' END
    )
    INTO locked;
    EXECUTE listed INTO chosen USING locked;
    IF chosen IS NOT NULL THEN
        PERFORM pg_current_xact_id();
        EXECUTE format(
            'INSERT INTO {schema}.pubsubpull_change (model, op, key, request_id, old, new)
             SELECT $1, ''U'', key, $4, j, j
             FROM (
                 SELECT %1$s AS key, {schema}.pubsubpull_mask(%2$s - $2, $3) AS j
                 FROM %3$s t
                 WHERE (%4$s) IN (%5$s) AND %6$s
                 ORDER BY %4$s
                 OFFSET 0
             ) AS r',
            key_of, row_of, relation, names, chosen, unknown
        )
        USING label, excluded, masked, {schema}.pubsubpull_request_id();
        GET DIAGNOSTICS written = ROW_COUNT;
    END IF;
    -- Deleted rows and rows with a new key are among these too. The next lookup of the caller does
    -- not find them.
    skipped := (
        SELECT jsonb_agg(k)
        FROM jsonb_array_elements(keys) AS k
        WHERE NOT patient AND NOT coalesce(locked, '[]') @> jsonb_build_array(k)
    );
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_baseline(
    regclass, text, text[], text[], text[], jsonb, bigint, boolean
)
FROM PUBLIC;
