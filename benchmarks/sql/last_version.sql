-- The version of the last change; nobody else writes, so those of the rows before it follow without a gap.
SELECT max(id) FROM pubsubpull_change
