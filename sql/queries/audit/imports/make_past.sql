-- Make the partition of the imported past.
SELECT pubsubpull_make_past()
