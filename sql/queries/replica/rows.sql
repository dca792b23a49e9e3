-- The rows of a page that a function looks at: of each key the last change, as text, for Python to
-- read without loss. A delete is none of its business: it goes whatever the row was, and of one
-- that was erased nothing but the key may be known.
SELECT n, data::text FROM (
    SELECT DISTINCT ON (key) n, op, data FROM pg_temp.pubsubpull_page
    WHERE model = {source} AND n > {after} AND n <= {upto} AND op NOT IN ('truncate', 'uncaptured')
    ORDER BY key, n DESC, version DESC
) AS latest WHERE op <> 'delete'
