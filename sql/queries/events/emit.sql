-- Write events into the log in their order, each by the function that SQL callers use, too.
SELECT pubsubpull_emit(e.label, e.key, e.data::jsonb)
FROM unnest({labels}::text[], {keys}::text[], {data}::text[]) WITH ORDINALITY AS e(label, key, data, i)
ORDER BY e.i
