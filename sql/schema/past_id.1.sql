-- The first id of a moment in the imported past: microseconds, counted so that they stay below 0
-- until the year 2255 and within what any reader of JSON takes for a whole number. So these ids go
-- with time, whichever model was imported first, and are all below those of captured changes.
CREATE FUNCTION {schema}.pubsubpull_past_id(moment timestamptz)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM moment) * 1000000)::bigint - 9007199254740992
$$;
