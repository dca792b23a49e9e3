-- Return the latest time before which retention had deleted changes, by the seals up to {upto}.
SELECT coalesce(max(newest), 0) FROM pubsubpull_seal WHERE kind = 'retention' AND id <= {upto}
