-- Return a table's columns that readers get, and whether each has a collation.
SELECT attname::text, attcollation <> 0 FROM pg_attribute
WHERE attrelid = {relation}::regclass
    AND attnum > 0
    AND NOT attisdropped
    AND NOT (
        attname::text = ANY (pubsubpull_excluded({relation}::regclass, {excluded}::text[], {known}::text[]))
    )
