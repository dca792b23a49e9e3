-- Sets back which records of this transaction switch capture off.
SELECT set_config('pubsubpull.uncaptured', {before}, true)
