-- Return a column's value as the log has it. The time zone is pinned, so that every session gets
-- the same text.
CREATE FUNCTION {schema}.pubsubpull_as_logged(value anyelement)
RETURNS jsonb
LANGUAGE sql STABLE
SET "TimeZone" = 'UTC' AS $$
    SELECT to_jsonb(value)
$$;
