-- Stage stored pages of changes in their order.
INSERT INTO pg_temp.pubsubpull_page (n, version, model, key, op, data)
SELECT (p.id << 32) + c.n, c.version, c.model, c.key, c.op,
    CASE WHEN c.op = 'delete' THEN c.old ELSE c.new END
FROM pubsubpull_copy_page p CROSS JOIN LATERAL
     ROWS FROM (
         jsonb_to_recordset(p.body::jsonb -> 'items') AS (
             version bigint, model text, key text, op text, old jsonb, new jsonb
         )
     )
     WITH ORDINALITY AS c(version, model, key, op, old, new, n)
WHERE p.id = ANY ({pages})
