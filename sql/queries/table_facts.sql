-- What decides how tables are captured, each with its place in the list. own_row_triggers: names of AFTER ROW triggers but ours and the foreign keys' own.
-- cascades: foreign keys that change this table's rows, or others that lead back to it, when a key moves.
-- computed: virtual generated columns, which triggers do not see. guarded: columns of type json, which hold what jsonb cannot.
SELECT w.place, n.nspname, c.relname, c.relkind = 'p' AS partitioned,
    ARRAY(SELECT t.tgname::text FROM pg_trigger t
          WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 1 = 1 AND t.tgtype & 66 = 0
            AND t.tgname NOT LIKE '00\_pubsubpull\_%' ORDER BY 1) AS own_row_triggers,
    ARRAY(SELECT k.conname::text FROM pg_constraint k
          WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.confupdtype IN ('c', 'n', 'd') ORDER BY 1) AS cascades,
    ARRAY(SELECT a.attname::text FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = 'v' ORDER BY 1) AS computed,
    ARRAY(SELECT a.attname::text FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND ('json'::regtype IN (y.oid, y.typbasetype) OR y.oid = 'json[]'::regtype) ORDER BY 1) AS guarded,
    ARRAY(SELECT ARRAY[pn.nspname::text, pc.relname::text] FROM pg_partition_tree(c.oid) AS p
          JOIN pg_class pc ON pc.oid = p.relid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
          WHERE c.relkind = 'p' AND p.isleaf ORDER BY 1) AS partitions
FROM unnest({relations}::text[]) WITH ORDINALITY AS w (relation, place)
JOIN pg_class c ON c.oid = to_regclass(w.relation) JOIN pg_namespace n ON n.oid = c.relnamespace
