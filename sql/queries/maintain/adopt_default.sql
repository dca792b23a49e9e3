-- Turn the default partition into a partition of a range, and begin another.
SELECT pubsubpull_adopt_default({below})
