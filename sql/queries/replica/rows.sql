-- Return the staged rows for a function: the last change of each key, as text, so that Python reads
-- it without loss. Deletes are left out: the row goes whatever its values, and for an erased row
-- perhaps only the key is known.
SELECT n, data::text FROM (
    SELECT DISTINCT ON (key) n, op, data FROM pg_temp.pubsubpull_page
    WHERE model = {source} AND n > {after} AND n <= {upto} AND op NOT IN ('truncate', 'uncaptured')
    ORDER BY key, n DESC, version DESC
) AS latest WHERE op <> 'delete'
