-- Stragglers of the transactions %(ended)s, which ran at the first snapshot and have ended since.
SELECT c.* FROM unnest(%(ended)s::text[]::xid8[]) AS e(xid) CROSS JOIN LATERAL (
    SELECT id, xid, at, model, op, key, request_id, old, new FROM pubsubpull_change
    WHERE xid = e.xid AND id > %(last)s AND id > %(floor)s AND id <= %(seq)s AND op <> 'E' AND {wanted}
    ORDER BY id LIMIT %(limit)s) AS c
