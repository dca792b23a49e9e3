-- Select the changes of the log between two ids, by the primary key. Changes outside the span of
-- these ids are not read: there may be more of them than a page reads.
SELECT -c.id AS place, c.id, {fits} AS fits FROM pubsubpull_change c
WHERE c.id < {before} AND c.id >= {floor}
  AND ({since}::timestamptz IS NULL OR c.at >= {since}::timestamptz)
  AND ({until}::timestamptz IS NULL OR c.at < {until}::timestamptz)
ORDER BY c.id DESC LIMIT {most}
