-- Lets PostgreSQL's statistics say which labels the log has now.
ANALYZE pubsubpull_change
