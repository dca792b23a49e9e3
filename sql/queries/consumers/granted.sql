-- Return the active ones of some consumers: the hash of the token, and the granted models.
SELECT id, token_hash, granted::text FROM pubsubpull_consumer WHERE id = ANY(%(ids)s) AND active
