-- The rows of a page that a function looks at: of each key the last change, as text, for Python to read without loss.
SELECT DISTINCT ON (key) n, data::text FROM pg_temp.pubsubpull_page
WHERE model = {source} AND n > {after} AND n <= {upto} AND op <> 'truncate' ORDER BY key, n DESC, version DESC
