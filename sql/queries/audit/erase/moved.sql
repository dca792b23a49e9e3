-- Return the keys that an object may have had before. A candidate is the key of a delete right
-- before an insert of the object's key, in the same transaction or by the same statement, with a
-- row that only differs in the key.
SELECT DISTINCT d.key
FROM pubsubpull_change i
JOIN pubsubpull_change d ON d.xid = i.xid AND d.model = i.model AND d.op = 'D' AND d.key <> i.key
WHERE i.model = {model}
    AND i.key::varchar(255) = {key}::varchar(255)
    AND i.key = {key}
    AND i.op = 'I'
    AND i.id > 0
    AND d.id > 0
  AND (
      d.id = i.id - 1 AND d.at <> i.at
      OR d.at = i.at AND d.old - {key_columns}::text[] = i.new - {key_columns}::text[]
  )
ORDER BY d.key LIMIT {at_most}
