-- Return which of a replica's source columns are missing in rows of the page, and which are
-- present.
SELECT c.name, bool_or(NOT p.data ? c.name), bool_or(p.data ? c.name)
FROM pg_temp.pubsubpull_page p CROSS JOIN unnest({columns}::text[]) AS c(name)
WHERE p.model = {source} AND p.op IN ('insert', 'update') GROUP BY c.name
