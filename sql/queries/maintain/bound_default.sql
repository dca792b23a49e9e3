-- Bound the default partition, as the first step to a partition of a range.
SELECT pubsubpull_bound_default({below})
