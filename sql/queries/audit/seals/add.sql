-- Add a seal to the chain.
INSERT INTO pubsubpull_seal (
    id, kind, first_id, last_id, newest, ids, times, leaves, salts, digest, hash, sealed
)
VALUES (
    %(id)s, %(kind)s, %(first)s, %(last)s, %(newest)s, %(ids)s, %(times)s, %(leaves)s, %(salts)s, %(digest)s,
    %(hash)s, %(sealed)s
)
