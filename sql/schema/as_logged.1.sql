-- A value of a column as the log has it, whatever the session's time zone.
CREATE FUNCTION {schema}.pubsubpull_as_logged(value anyelement)
RETURNS jsonb
LANGUAGE sql STABLE
SET "TimeZone" = 'UTC' AS $$
    SELECT to_jsonb(value)
$$;
