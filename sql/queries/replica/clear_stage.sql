-- Empties the temporary table for further pages in the same transaction. Rows that were only
-- deleted would stay in the way of every later scan.
TRUNCATE pg_temp.pubsubpull_page
