-- Return the columns of some tables that hold money at any depth of their types: in an array, a
-- domain or a composite. The place of each table among them comes first.
WITH RECURSIVE types (place, name, type) AS (
    SELECT r.place, a.attname::text, a.atttypid
    FROM unnest({relations}::text[]) WITH ORDINALITY AS r (name, place)
    JOIN pg_attribute a ON a.attrelid = r.name::regclass AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT t.place, t.name, part.type FROM types t JOIN pg_type y ON y.oid = t.type CROSS JOIN LATERAL (
        SELECT y.typelem AS type WHERE y.typelem <> 0
        UNION ALL SELECT y.typbasetype WHERE y.typbasetype <> 0
        UNION ALL
        SELECT a.atttypid
        FROM pg_attribute a
        WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS part
)
SELECT place, array_agg(DISTINCT name ORDER BY name)
FROM types
WHERE type = 'money'::regtype
GROUP BY place
ORDER BY place
