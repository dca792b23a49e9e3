-- Remove schemas that other roles may create in from the search path, until the transaction ends.
SET LOCAL search_path = pg_catalog, pg_temp
