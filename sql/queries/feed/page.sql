-- Return a page as a single text: the number of changes, the id of the last, whether more of them
-- would have been too large, and the items with commas between.
SELECT count(*), max(id), coalesce(bool_or(cut), false), coalesce(string_agg(item, ',' ORDER BY id), '')
FROM (SELECT id, {item} AS item, {cut} AS cut FROM ({window}) AS w) AS items
