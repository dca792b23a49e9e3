-- Statistics as autovacuum would have them a minute later.
ANALYZE pubsubpull_change, pubsubpull_request
