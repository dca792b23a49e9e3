-- Make the table of the keys that were changed during the copy of their rows.
CREATE TEMPORARY TABLE pubsubpull_touched ON COMMIT DROP AS
SELECT DISTINCT c.model, c.key
FROM pubsubpull_copy_page p
CROSS JOIN LATERAL jsonb_to_recordset(p.body::jsonb -> 'items') AS c(model text, key text)
WHERE p.copy_id = {copy} AND p.source = '' AND c.key IS NOT NULL
