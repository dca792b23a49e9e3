-- Return the facts that decide how tables are captured, each with its table's place in the list.
-- own_row_triggers: names of AFTER ROW triggers other than ours and those of foreign keys.
-- cascades: foreign keys that change this table's rows, or others that lead back to it, when a key
-- moves.
-- computed: virtual generated columns, which triggers do not see. guarded: columns that hold json.
-- columns: each column's name at the index of its number, '' for a dropped column; for a partition,
-- the columns of its root.
-- children: tables made with INHERITS. unique_key: true if all rows have different keys without a
-- NULL.
WITH RECURSIVE wanted AS (
    SELECT w.place, c.oid, c.relname, c.relnamespace, c.relkind, c.relpersistence,
           ARRAY(SELECT jsonb_array_elements_text({keys}::jsonb -> w.place::integer - 1)) AS keys
    FROM unnest({relations}::text[]) WITH ORDINALITY AS w (relation, place)
    JOIN pg_class c ON c.oid = to_regclass(w.relation)
),
descendants (place, oid) AS (
    SELECT w.place, w.oid FROM wanted w WHERE w.relkind = 'r'
    UNION
    SELECT d.place, i.inhrelid FROM descendants d JOIN pg_inherits i ON i.inhparent = d.oid
)
SELECT w.place, n.nspname, w.relname, w.relkind::text AS kind, w.relpersistence = 'u' AS unlogged,
    row_security_active(w.oid) AS secured,
    ARRAY(SELECT t.tgname::text FROM pg_trigger t
          WHERE t.tgrelid = w.oid AND NOT t.tgisinternal AND t.tgtype & 1 = 1 AND t.tgtype & 66 = 0
            AND t.tgname NOT LIKE '00\_pubsubpull\_%' ORDER BY 1) AS own_row_triggers,
    ARRAY(SELECT k.conname::text FROM pg_constraint k
          WHERE k.confrelid = w.oid AND k.contype = 'f' AND k.confupdtype IN ('c', 'n', 'd')
          ORDER BY 1) AS cascades,
    ARRAY(SELECT a.attname::text FROM pg_attribute a
          WHERE a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 'v'
          ORDER BY 1) AS computed,
    pubsubpull_guarded_columns(w.oid) AS guarded,
    ARRAY(SELECT ARRAY[pn.nspname::text, pc.relname::text] FROM pg_partition_tree(w.oid) AS p
          JOIN pg_class pc ON pc.oid = p.relid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
          WHERE w.relkind = 'p' AND p.isleaf ORDER BY 1) AS partitions,
    ARRAY(SELECT CASE WHEN a.attisdropped THEN '' ELSE a.attname::text END FROM pg_attribute a
          WHERE a.attrelid = coalesce(pg_partition_root(w.oid), w.oid) AND a.attnum > 0
          ORDER BY a.attnum) AS columns,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'schema', dn.nspname,
            'table', dc.relname,
            'guarded', pubsubpull_guarded_columns(dc.oid),
            'columns', ARRAY(
                SELECT CASE WHEN a.attisdropped THEN '' ELSE a.attname::text END
                FROM pg_attribute a
                WHERE a.attrelid = dc.oid AND a.attnum > 0
                ORDER BY a.attnum
            )
        ) ORDER BY dn.nspname, dc.relname), '[]')
        FROM descendants d
        JOIN pg_class dc ON dc.oid = d.oid
        JOIN pg_namespace dn ON dn.oid = dc.relnamespace
        WHERE d.place = w.place AND d.oid <> w.oid
    )::json AS children,
    (
        SELECT count(*) = cardinality(w.keys)
        FROM pg_attribute a
        WHERE a.attrelid = w.oid AND a.attname = ANY (w.keys) AND a.attnotnull
    )
    AND EXISTS (
        SELECT
        FROM pg_index x
        WHERE x.indrelid = w.oid AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND (
            SELECT bool_and(coalesce(a.attname = ANY (w.keys), false))
            FROM unnest(x.indkey) WITH ORDINALITY AS k (number, i)
            LEFT JOIN pg_attribute a ON a.attrelid = w.oid AND a.attnum = k.number
            WHERE k.i <= x.indnkeyatts
        )
    ) AS unique_key
FROM wanted w JOIN pg_namespace n ON n.oid = w.relnamespace
