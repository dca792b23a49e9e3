-- A model's image without what is hidden of it by now. Looked at first is whether there is any,
-- since as a rule there is none.
WHEN {model} = {label} AND ({data} ?| {excluded}::text[] OR NOT {data} @> {stars}::jsonb)
    THEN pubsubpull_mask({data} - {excluded}::text[], {masked}::text[])
