-- The present of the log and the page after a cursor that had seen its end, in one round trip.
SELECT history, tick, seq, snapshot, top, restored, settled, floor, dropped, dropped_xid, standby, reached,
    past, gone, count, last, items
FROM pubsubpull_look(
    %(models)s, %(low)s, %(since)s::pg_snapshot, %(few)s, %(old)s, %(excluded)s::text[], %(stars)s::jsonb
)
