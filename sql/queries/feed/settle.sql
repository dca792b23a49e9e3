-- Move the log's settled id on.
SELECT pubsubpull_settle()
