-- Select the changes between two snapshots, after the id %(last)s, by id, at most %(limit)s.
-- Transactions of the first snapshot may have written at or below %(seq)s since: these stragglers
-- come with the tail above it. At or below %(floor)s every transaction had ended at the first
-- snapshot.
SELECT * FROM ({parts}) AS changes ORDER BY id LIMIT %(limit)s
