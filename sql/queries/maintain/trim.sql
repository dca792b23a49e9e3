-- Delete the oldest changes.
SELECT pubsubpull_trim({upto}, {newest}::text::xid8)
