-- Return the first id of a moment in the imported past. Ids count microseconds, so that they stay
-- below 0 until the year 2255 and within the whole numbers of any JSON reader.
-- Such ids ascend with time for all models, in any order of the imports, and are below the ids of
-- captured changes.
CREATE FUNCTION {schema}.pubsubpull_past_id(moment timestamptz)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM moment) * 1000000)::bigint - 9007199254740992
$$;
