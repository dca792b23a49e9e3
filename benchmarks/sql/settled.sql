-- Write dirty pages back now: otherwise the write-back after a million rows stalls the commits of
-- the next measurement.
CHECKPOINT
