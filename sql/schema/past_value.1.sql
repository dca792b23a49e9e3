-- Return the log's form of a column's value that another package wrote as text; NULL if it is no
-- value of the column's type. The type is taken without its length, which may have been different
-- at that time.
CREATE FUNCTION {schema}.pubsubpull_past_value(value text, type text) RETURNS text LANGUAGE plpgsql STABLE
{text_settings}
AS $$
DECLARE
    result jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb($1::%s)', type) INTO result USING value;
    RETURN result::text;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_past_value(text, text) FROM PUBLIC;
