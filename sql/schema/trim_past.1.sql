-- Delete imported changes older than a moment, up to a limit. Return how many. Their ids encode
-- their time.
CREATE FUNCTION {schema}.pubsubpull_trim_past(before timestamptz, at_most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n bigint;
BEGIN
    DELETE FROM {schema}.pubsubpull_change c WHERE c.id < 0 AND c.id IN (
        SELECT id
        FROM {schema}.pubsubpull_change
        WHERE id < least(0, {schema}.pubsubpull_past_id(before))
        ORDER BY id
        LIMIT at_most);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_trim_past(timestamptz, integer) FROM PUBLIC;
