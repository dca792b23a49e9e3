-- Reset the list of records that switch capture off in this transaction.
SELECT set_config('pubsubpull.uncaptured', {before}, true)
