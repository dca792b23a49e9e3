-- Seals the next changes.
SELECT pubsubpull_seal({at_most}, make_interval(secs => {age}))
