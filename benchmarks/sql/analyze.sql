-- Gather the statistics that autovacuum would have a minute later.
ANALYZE pubsubpull_change, pubsubpull_request
