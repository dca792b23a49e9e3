-- The present of the log, in one round trip.
SELECT history, tick, seq, snapshot, top, restored, settled, floor, dropped, dropped_xid, standby, reached,
    past
FROM pubsubpull_present()
