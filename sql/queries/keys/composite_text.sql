-- The text by which the log knows the key with these values.
SELECT jsonb_build_array({values})::text
