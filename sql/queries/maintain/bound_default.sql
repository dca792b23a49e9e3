-- Bounds the default partition, for it to be made a partition of a range.
SELECT pubsubpull_bound_default({below})
