-- Return the schema that new objects are made in, NULL if there is none, and the session's search
-- path.
SELECT current_schema(), current_setting('search_path')
