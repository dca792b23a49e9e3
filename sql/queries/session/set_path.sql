-- Puts the search path back, to the end of the transaction.
SELECT set_config('search_path', {path}, true)
