-- Add to the metadata of a request that has not ended. A request without changes, a sealed one, and
-- one that began more than a day ago stay unchanged.
-- Only the application's role needs this function: pubsubpull_protect grants it.
CREATE FUNCTION {schema}.pubsubpull_annotate_request(request uuid, added jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE {schema}.pubsubpull_request SET metadata = metadata || added
    WHERE id = request
        AND duration IS NULL
        AND closed IS NULL
        AND started > clock_timestamp() - interval '1 day';
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_annotate_request(uuid, jsonb) FROM PUBLIC;
