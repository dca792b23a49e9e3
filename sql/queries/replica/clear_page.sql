-- Empties the laid out page, for another in the same transaction. Rows that were only deleted would
-- still be there for every later scan to pass.
TRUNCATE pg_temp.pubsubpull_page
