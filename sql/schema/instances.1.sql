-- Return a page of a table's rows by primary key as JSON text, each with its key, its version and
-- its data.
-- The version is the id of the row's latest change. If the log has none, it is the id up to which
-- changes have been deleted: every known change of the row is at or below it, and every later one
-- above it.
-- Row and version are of the same snapshot. The settings are those of the capture functions, so
-- that both give a value the same text.
-- past: the key columns of the previous page's last row, as text, or NULL. until: those of the last
-- wanted row, or NULL. only: the key columns of a single wanted row, or NULL.
-- size: about the most bytes of a page; the row that exceeds it is the last. cut: true if more of
-- at_most would have followed.
-- newest: the highest keys first; past is then the key to go on below.
CREATE FUNCTION {schema}.pubsubpull_instances(
    relation regclass, label text, columns text[], excluded text[], masked text[], past text[], until text[],
    only_key text[], at_most integer, size bigint, newest boolean DEFAULT false,
    OUT items text, OUT n bigint, OUT last_key text, OUT cut boolean
) LANGUAGE plpgsql STABLE
SET jit = off
SET row_security = off
{text_settings}
AS $$
DECLARE
    names text := (
        SELECT string_agg(format('t.%I', c), ', ' ORDER BY i) FROM unnest(columns) WITH ORDINALITY AS u(c, i)
    );
    ordered text := (
        SELECT string_agg(format('t.%I', c) || CASE WHEN newest THEN ' DESC' ELSE '' END, ', ' ORDER BY i)
        FROM unnest(columns) WITH ORDINALITY AS u(c, i)
    );
    bound text := (
        SELECT string_agg(format('%L', v), ', ' ORDER BY i)
        FROM unnest(coalesce(only_key, past)) WITH ORDINALITY AS u(v, i)
    );
    filter text := CASE
        WHEN only_key IS NOT NULL THEN format('WHERE ROW(%s) = ROW(%s)', names, bound)
        WHEN past IS NOT NULL
            THEN format('WHERE ROW(%s) %s ROW(%s)', names, CASE WHEN newest THEN '<' ELSE '>' END, bound)
        ELSE 'WHERE true'
    END || CASE
        WHEN until IS NOT NULL THEN format(' AND ROW(%s) <= ROW(%s)', names, (
            SELECT string_agg(format('%L', v), ', ' ORDER BY i)
            FROM unnest(until) WITH ORDINALITY AS u(v, i)
        ))
        ELSE ''
    END;
    key_of text := CASE
        WHEN cardinality(columns) = 1 THEN format('j ->> %L', columns[1])
        ELSE '{schema}.pubsubpull_key(j, $2)'
    END;
    data_of text := CASE
        WHEN masked <> '{{}}' THEN '{schema}.pubsubpull_mask(j - $3, $4)'
        WHEN excluded <> '{{}}' THEN 'j - $3'
        ELSE 'j'
    END;
    guarded text[] := {schema}.pubsubpull_guarded_columns(relation);
    row_of text := CASE
        WHEN guarded = '{{}}' THEN 'to_jsonb(t.*)'
        ELSE format('{schema}.pubsubpull_guarded(t, %L::oid, %L::text[])', relation::oid, guarded)
    END;
BEGIN
    EXECUTE format(
        'SELECT coalesce(string_agg(item, '','' ORDER BY place) FILTER (WHERE before < $6), ''''),
                count(*) FILTER (WHERE before < $6),
                (array_agg(key ORDER BY place DESC) FILTER (WHERE before < $6))[1],
                coalesce(bool_or(before >= $6), false)
         FROM (
             SELECT key, place, item,
                 sum(octet_length(item)) OVER (ROWS UNBOUNDED PRECEDING) - octet_length(item) AS before
             FROM (
                 SELECT key, place,
                     ''{{"key":'' || to_json(key)::text || '',"version":'' || coalesce((
                         SELECT max(c.id)
                         FROM {schema}.pubsubpull_change c
                         WHERE c.model = $1
                             AND c.key::varchar(255) = rows.key::varchar(255)
                             AND c.key = rows.key
                             AND c.id > 0
                     ), gone.upto)::text || '',"data":'' || (%5$s)::text || ''}}'' AS item
                 FROM (
                     SELECT j, place, %4$s AS key
                     FROM (
                         SELECT %6$s AS j, row_number() OVER (ORDER BY %3$s) AS place
                         FROM %1$s t %2$s
                         ORDER BY %3$s
                         LIMIT $5
                     ) AS found
                     OFFSET 0
                 ) AS rows
                 CROSS JOIN (
                     SELECT coalesce(max(greatest(l.dropped, l.restored)), 0) AS upto
                     FROM {schema}.pubsubpull_log l
                 ) AS gone
                 OFFSET 0
             ) AS texts
         ) AS measured',
        relation, filter, ordered, key_of, data_of, row_of
    )
    INTO items, n, last_key, cut
    USING label, columns, excluded, masked, at_most, size;
END
$$;
