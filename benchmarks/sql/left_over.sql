-- How many rows a replica has that its source does not have.
SELECT count(*) FROM {replica} r WHERE NOT EXISTS (SELECT FROM {source} s WHERE s.id = r.id)
