-- Whether the default partition is bound to become one of a range.
SELECT EXISTS (
    SELECT
    FROM pg_constraint
    WHERE conname = 'pubsubpull_change_bound' AND conrelid = to_regclass('pubsubpull_change_default')
)
