-- The staged rows that a function looks at: of each key the last change, as text, so that Python
-- reads it without loss. Deletes are left out: the row goes whatever it was, and of an erased row
-- perhaps only the key is known.
SELECT n, data::text FROM (
    SELECT DISTINCT ON (key) n, op, data FROM pg_temp.pubsubpull_page
    WHERE model = {source} AND n > {after} AND n <= {upto} AND op NOT IN ('truncate', 'uncaptured')
    ORDER BY key, n DESC, version DESC
) AS latest WHERE op <> 'delete'
