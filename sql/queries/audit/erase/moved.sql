-- The keys that an object may have had before: those of the deletes that stand right before an
-- insert of its key, in one transaction, or that one statement wrote with it, of a row that was the
-- same but for the key.
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
