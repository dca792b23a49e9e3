-- Drop a detached partition.
SELECT pubsubpull_drop_detached()
