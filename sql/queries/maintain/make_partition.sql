-- Make a partition.
SELECT pubsubpull_make_partition({low}, {high})
