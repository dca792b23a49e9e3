-- Takes the oldest partition off.
SELECT pubsubpull_detach_partition({upto}, {newest}::text::xid8)
