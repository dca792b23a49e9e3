-- Return for each of some adjoining ranges of keys how many rows it has, and a hash of them all.
-- Each range has its own end; the first begins after `past`.
SELECT r.n, r.hash
FROM jsonb_array_elements({bounds}::jsonb) WITH ORDINALITY AS b(ends, place)
     CROSS JOIN LATERAL pubsubpull_range_hash(
         {relation}::regclass, {keys}::text[], {columns}::text[], {masked}::text[], {filter}::jsonb,
         CASE
             WHEN jsonb_typeof(b.ends -> 0) = 'array'
                 THEN ARRAY(SELECT jsonb_array_elements_text(b.ends -> 0))
         END,
         CASE
             WHEN jsonb_typeof(b.ends -> 1) = 'array'
                 THEN ARRAY(SELECT jsonb_array_elements_text(b.ends -> 1))
         END) AS r
ORDER BY b.place
