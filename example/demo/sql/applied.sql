-- Return billing's arrivals after an id: in how many transactions, how many changes, and the last
-- of them.
SELECT count(DISTINCT xmin::text), coalesce(sum(cardinality(versions)), 0), coalesce(max(id), %(after)s) FROM billing_arrival WHERE id > %(after)s
