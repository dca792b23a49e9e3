-- The last seal: up to which id it goes, and its hash.
SELECT id, last_id, encode(hash, 'hex') FROM pubsubpull_seal ORDER BY id DESC LIMIT 1
