-- Return the log's text of the key with these values.
SELECT jsonb_build_array({values})::text
