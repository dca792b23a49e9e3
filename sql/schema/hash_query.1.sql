-- Return the query for the hashes of a table's rows in a range of keys: each row's key columns k1,
-- k2, … and h, a hash of the text of its key and chosen columns.
-- columns and masked: their names in the order that both sides agree on; a masked column
-- contributes the constant that readers get.
-- filter: the values that columns must have, an object of arrays. Each value becomes a constant
-- that PostgreSQL looks up by its hash. past, until: the key columns at the ends, as text, or NULL.
-- COLLATE "C" orders texts byte by byte, so that a range has the same rows on both sides under any
-- collation of their databases.
CREATE FUNCTION {schema}.pubsubpull_hash_query(
    relation regclass, keys text[], columns text[], masked text[], filter jsonb, past text[], until text[]
) RETURNS text LANGUAGE sql STABLE AS $$
    WITH key AS (
        SELECT string_agg(format('t.%I', u.c), ', ' ORDER BY u.i) AS names,
               string_agg(format('t.%I AS k%s', u.c, u.i), ', ' ORDER BY u.i) AS shown,
               string_agg(
                   format('t.%I%s', u.c, CASE WHEN a.attcollation <> 0 THEN ' COLLATE "C"' ELSE '' END), ', '
                   ORDER BY u.i
               ) AS ordered
        FROM unnest(keys) WITH ORDINALITY AS u(c, i)
        JOIN pg_attribute a ON a.attrelid = relation AND a.attname = u.c
    ),
    -- json columns take part in the form that readers get: jsonb cannot hold every json value
    guarded AS (
        SELECT ARRAY(SELECT c FROM unnest({schema}.pubsubpull_guarded_columns(relation)) AS g(c)
                     WHERE c <> ALL (masked) AND (c = ANY (columns) OR filter ? c)) AS names
    ),
    chosen AS (
        SELECT string_agg(CASE
            WHEN u.c = ANY (masked) THEN quote_literal('***') || '::text'
            WHEN u.c = ANY (guarded.names) THEN format('g.j -> %L', u.c)
            ELSE format('t.%I', u.c)
        END, ', ' ORDER BY u.i) AS names
        FROM guarded
        CROSS JOIN unnest(columns) WITH ORDINALITY AS u(c, i)
        JOIN pg_attribute a ON a.attrelid = relation AND a.attname = u.c
    ),
    kept AS (
        SELECT coalesce(string_agg(format(
            ' AND coalesce(to_jsonb(%s), ''null'') = ANY (%L::jsonb[])',
            CASE
                WHEN f.c = ANY (masked) THEN quote_literal('***') || '::text'
                WHEN f.c = ANY (guarded.names) THEN format('g.j -> %L', f.c)
                ELSE format('t.%I', f.c)
            END,
            ARRAY(SELECT jsonb_array_elements(f.v))
        ), ''), '') AS rows
        FROM guarded CROSS JOIN jsonb_each(filter) AS f(c, v)
    )
    SELECT format(
        'SELECT %s, (''x'' || left(md5(row_to_json(ROW(%s))::text), 16))::bit(64)::bigint AS h
         FROM %s t%s
         WHERE true%s%s%s',
        key.shown, concat_ws(', ', key.names, chosen.names),
        relation, CASE
            WHEN guarded.names = '{{}}' THEN ''
            ELSE format(
                ' CROSS JOIN LATERAL (
                      SELECT {schema}.pubsubpull_guarded(t, %L::oid, %L::text[]) AS j OFFSET 0
                  ) AS g',
                relation::oid, {schema}.pubsubpull_guarded_columns(relation)
            )
        END,
        kept.rows,
        CASE
            WHEN past IS NULL THEN ''
            ELSE format(' AND ROW(%s) > ROW(%s)', key.ordered, (
                SELECT string_agg(quote_literal(v), ', ' ORDER BY i)
                FROM unnest(past) WITH ORDINALITY AS u(v, i)
            ))
        END,
        CASE
            WHEN until IS NULL THEN ''
            ELSE format(' AND ROW(%s) <= ROW(%s)', key.ordered, (
                SELECT string_agg(quote_literal(v), ', ' ORDER BY i)
                FROM unnest(until) WITH ORDINALITY AS u(v, i)
            ))
        END
    )
    FROM key, guarded, chosen, kept
$$;
