-- Return a table's columns and their types, as the database has them now.
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass({relation}) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
