-- Return how many rows a replica has that its source lacks.
SELECT count(*) FROM {replica} r WHERE NOT EXISTS (SELECT FROM {source} s WHERE s.id = r.id)
