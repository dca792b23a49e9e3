-- The changes of the log between two ids, by the primary key.
SELECT -c.id AS place, c.id, {fits} AS fits FROM pubsubpull_change c
WHERE c.id < {before} AND c.id >= {floor} ORDER BY c.id DESC LIMIT {most}
