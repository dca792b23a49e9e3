-- A page as one text: how many changes, the id of the last, and the items with commas between.
SELECT count(*), max(id), coalesce(string_agg(item, ',' ORDER BY id), '')
FROM (SELECT id, {item} AS item FROM ({window}) AS w) AS items
