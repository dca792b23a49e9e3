-- Takes everybody's schemas off the search path, to the end of the transaction.
SET LOCAL search_path = pg_catalog, pg_temp
