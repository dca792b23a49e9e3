-- The present of the log and the page after a cursor that had seen its end, in one round trip.
SELECT epoch, seq, snapshot, top, restored, settled, floor, dropped, dropped_xid, standby, gone, count, last, items
FROM pubsubpull_look(%(models)s, %(low)s, %(since)s::pg_snapshot, %(few)s, %(old)s)
