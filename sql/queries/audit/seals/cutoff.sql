-- The latest time before which changes had gone by retention, as the seals up to {upto} have it.
SELECT coalesce(max(newest), 0) FROM pubsubpull_seal WHERE kind = 'retention' AND id <= {upto}
