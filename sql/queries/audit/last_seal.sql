-- Return the last seal: the last captured change that the chain covers, and its hash.
SELECT id, (SELECT coalesce(max(last_id), 0) FROM pubsubpull_seal WHERE kind = 'changes'), encode(hash, 'hex')
FROM pubsubpull_seal ORDER BY id DESC LIMIT 1
