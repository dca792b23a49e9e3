-- Detach the oldest partition.
SELECT pubsubpull_detach_partition({upto}, {newest}::text::xid8)
