-- The changes between two snapshots by id, above {low} and up to {high}, at most {limit} of them. At or below {restored} the transaction ids
-- are those of another cluster, and each change counts as visible.
SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
WHERE id > {low} AND id <= {high} AND op <> 'E' AND {wanted}
  AND (id <= {restored} OR (NOT pg_visible_in_snapshot(xid, {since}::pg_snapshot) AND pg_visible_in_snapshot(xid, {upto}::pg_snapshot)))
ORDER BY id LIMIT {limit}
