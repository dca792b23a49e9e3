-- The present of the log, in one round trip.
SELECT epoch, seq, snapshot, top, restored, settled, dropped, standby FROM pubsubpull_present()
