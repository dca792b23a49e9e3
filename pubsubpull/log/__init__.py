"""The change log, read: cursors, the present, pages of changes, partitions."""
