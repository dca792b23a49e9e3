-- Drops one partition that was taken off.
SELECT pubsubpull_drop_detached()
