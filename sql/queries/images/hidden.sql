-- A model's image without its columns hidden by now. The test for any such column comes first,
-- since there is rarely one.
WHEN {model} = {label} AND ({data} ?| {excluded}::text[] OR NOT {data} @> {stars}::jsonb)
    THEN pubsubpull_mask({data} - {excluded}::text[], {masked}::text[])
