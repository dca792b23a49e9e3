-- Return the present row of a state.
SELECT to_jsonb(t.*)::text FROM {table} AS t
WHERE ({keys}) = (
    SELECT {keys}
    FROM jsonb_populate_record(NULL::{table}, pubsubpull_readable({state}::jsonb, {hstores}::jsonb))
)
