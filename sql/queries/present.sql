-- The present of the log, in one round trip.
SELECT epoch, seq, snapshot, top, restored, settled, floor, dropped, dropped_xid, standby FROM pubsubpull_present()
