-- Select the changes of a small page, which the message that applies it has set, in the form of
-- staged rows.
SELECT n, version, model, key, op, CASE WHEN op = 'delete' THEN old ELSE new END AS data
FROM ROWS FROM (jsonb_to_recordset(current_setting('pubsubpull.page')::jsonb -> 'items')
         AS (version bigint, model text, key text, op text, old jsonb, new jsonb))
     WITH ORDINALITY AS c(version, model, key, op, old, new, n)
