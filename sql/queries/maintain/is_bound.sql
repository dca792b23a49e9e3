-- Return true if the default partition has its bound.
SELECT EXISTS (
    SELECT
    FROM pg_constraint
    WHERE conname = 'pubsubpull_change_bound' AND conrelid = to_regclass('pubsubpull_change_default')
)
