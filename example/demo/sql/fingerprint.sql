-- Return how many rows a table has, and a hash over the columns that both sides have.
SELECT count(*), md5(coalesce(string_agg(md5(ROW({columns})::text), '' ORDER BY id), '')) FROM {table}
