-- Stage pages of a copy. Rows changed during the copy are left out: their changes have the whole
-- row.
INSERT INTO pg_temp.pubsubpull_page (n, version, model, key, op, data)
SELECT (p.id << 32) + r.n, r.version, p.source, r.key, 'insert', r.data
FROM pubsubpull_copy_page p CROSS JOIN LATERAL
     ROWS FROM (
         jsonb_to_recordset(p.body::jsonb -> 'items') AS (key text, version bigint, data jsonb)
     ) WITH ORDINALITY AS r(key, version, data, n)
WHERE p.id = ANY ({pages})
    AND NOT EXISTS (SELECT FROM pg_temp.pubsubpull_touched t WHERE t.model = p.source AND t.key = r.key)
