-- Select the changes between two snapshots by id, above %(low)s and up to %(high)s, at most
-- %(limit)s. At or below %(restored)s the transaction ids are those of another cluster, and each
-- change counts as visible.
SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
WHERE id > %(low)s AND id <= %(high)s AND op <> 'E' AND {wanted}
  AND (
      id <= %(restored)s
      OR (
          NOT pg_visible_in_snapshot(xid, %(seen)s::pg_snapshot)
          AND pg_visible_in_snapshot(xid, %(upto)s::pg_snapshot)
      )
  )
ORDER BY id LIMIT %(limit)s
