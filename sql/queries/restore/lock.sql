-- The row that a state is of, as it is now, locked.
SELECT to_jsonb(t.*) FROM {table} AS t
WHERE ({keys}) = (
    SELECT {keys}
    FROM jsonb_populate_record(NULL::{table}, pubsubpull_readable({state}::jsonb, {hstores}::jsonb))
)
FOR UPDATE
