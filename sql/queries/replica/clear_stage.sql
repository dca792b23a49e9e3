-- Empty the temporary table for further pages in the same transaction. Deleting the rows instead
-- would leave dead rows in the way of every later scan.
TRUNCATE pg_temp.pubsubpull_page
