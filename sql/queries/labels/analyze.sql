-- Analyze the log, so that PostgreSQL's statistics name its present labels.
ANALYZE pubsubpull_change
