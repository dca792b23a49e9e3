-- The row that a state is of, as it is now.
SELECT to_jsonb(t.*)::text FROM {table} AS t
WHERE ({keys}) = (
    SELECT {keys}
    FROM jsonb_populate_record(NULL::{table}, pubsubpull_readable({state}::jsonb, {hstores}::jsonb))
)
