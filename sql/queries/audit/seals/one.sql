-- Return a seal.
SELECT s.id, s.kind, s.first_id, s.last_id, s.newest, s.ids, s.times, s.leaves, s.salts, s.digest, s.hash,
    s.sealed
FROM pubsubpull_seal s WHERE s.id = {id}
