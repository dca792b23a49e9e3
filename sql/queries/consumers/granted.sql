-- Of some consumers those that may call: the hash of the token, and what is granted.
SELECT id, token_hash, granted::text FROM pubsubpull_consumer WHERE id = ANY(%(ids)s) AND active
