-- Adds to the metadata of a request that has not ended. Touches nothing for a request that changed nothing.
CREATE FUNCTION {schema}.pubsubpull_annotate_request(request uuid, added jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE {schema}.pubsubpull_request SET metadata = metadata || added WHERE id = request AND duration IS NULL;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_annotate_request(uuid, jsonb) FROM PUBLIC;
