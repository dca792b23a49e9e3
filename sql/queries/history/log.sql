-- The changes of the log between two ids, by the primary key. What was made before or after the
-- span that the ids are of is not looked at: there may be more of it than a page looks at.
SELECT -c.id AS place, c.id, {fits} AS fits FROM pubsubpull_change c
WHERE c.id < {before} AND c.id >= {floor}
  AND ({since}::timestamptz IS NULL OR c.at >= {since}::timestamptz)
  AND ({until}::timestamptz IS NULL OR c.at < {until}::timestamptz)
ORDER BY c.id DESC LIMIT {most}
