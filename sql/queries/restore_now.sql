-- The row that a state is of, as it is now.
SELECT to_jsonb(t)::json FROM {table} AS t
WHERE ({keys}) = (SELECT {keys} FROM jsonb_populate_record(NULL::{table}, {state}::jsonb))
