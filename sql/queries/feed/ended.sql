-- Select stragglers of the transactions %(ended)s, which ran at the first snapshot and have ended
-- since.
-- The pairs are compared and sorted by, so that only the index of transactions fits. After a load
-- in a single transaction, statistics say that any transaction wrote the whole log. xid = e.xid
-- would then walk all of it by id.
SELECT c.* FROM unnest(%(ended)s::text[]::xid8[]) AS e(xid) CROSS JOIN LATERAL (
    SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
    WHERE (xid, id) > (e.xid, greatest(%(last)s::bigint, %(floor)s::bigint))
        AND (xid, id) <= (e.xid, %(seq)s::bigint)
      AND op <> 'E' AND {wanted}
    ORDER BY xid, id LIMIT %(limit)s) AS c
