-- Erase an object's rows from the dead letters of subscriptions: keep a delete with its key only,
-- and delete any other change. An item's rows come last in its text, and the text before them has
-- each quote escaped.
WITH theirs AS (
    SELECT id, op, item FROM pubsubpull_failure WHERE model = {model} AND item::json ->> 'key' = {key}
),
gone AS (DELETE FROM pubsubpull_failure f USING theirs t WHERE f.id = t.id AND t.op <> 'D' RETURNING 1)
UPDATE pubsubpull_failure f SET item = concat(left(t.item, strpos(t.item, ',"old":') - 1), ',"old":', (
        SELECT coalesce(json_object_agg(k, t.item::json -> 'old' -> k), '{{}}')
        FROM unnest({key_columns}::text[]) AS k
        WHERE t.item::json -> 'old' -> k IS NOT NULL)::text, ',"new":null}}')
FROM theirs t WHERE f.id = t.id AND t.op = 'D'
