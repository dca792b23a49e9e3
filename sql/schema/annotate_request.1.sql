-- Adds to the metadata of a request that has not ended. Touches nothing for a request that changed
-- nothing, that a seal stands for already, or that began a day ago. The application's role alone
-- needs it: pubsubpull_protect grants it.
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
