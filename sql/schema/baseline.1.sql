-- Writes those of some rows into the log that have no change above the id `since` there, as updates
-- from themselves to themselves; gives how many, and the keys of those that somebody else holds a
-- lock on: unless `patient`, nothing is waited for while other rows are held. keys: an array of
-- arrays of the key columns' texts. Each row is locked first, and looked for in the log then:
-- whoever changes it next writes a higher id, and what was committed before the lock was had is
-- seen.
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
    unknown text := format(  -- with LIMIT, so that it stays a look by the index for each row
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
    -- Of each array of texts, a row of literals, which PostgreSQL reads as the columns' types.
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
    -- In the order of the keys, so that two of these calls never wait for each other.
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
    -- One that is gone by now, or has a new key, is among these too: it will not be there when it
    -- is looked for again.
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
