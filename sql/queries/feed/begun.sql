-- Select stragglers of the transactions from %(first)s on, none of which the first snapshot had
-- seen.
SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
WHERE xid >= %(first)s::text::xid8
    AND xid < %(beyond)s::text::xid8
    AND pg_visible_in_snapshot(xid, %(upto)s::pg_snapshot)
  AND id > %(last)s AND id > %(floor)s AND id <= %(seq)s AND op <> 'E' AND {wanted}
ORDER BY id LIMIT %(limit)s
