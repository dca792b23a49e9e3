-- Record the end of a request, known only after the response: its status, its duration in seconds,
-- and its user if none was known.
-- A request without changes, a sealed one, and one that began more than a day ago stay unchanged.
-- Only the application's role needs this function: pubsubpull_protect grants it.
CREATE FUNCTION {schema}.pubsubpull_finish_request(
    request uuid, answer integer, seconds double precision, by_id text, by_name text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE {schema}.pubsubpull_request
    SET status = answer, duration = seconds, user_id = coalesce(user_id, by_id),
        user_name = coalesce(user_name, by_name)
    WHERE id = request
        AND duration IS NULL
        AND closed IS NULL
        AND started > clock_timestamp() - interval '1 day';
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_finish_request(uuid, integer, double precision, text, text)
FROM PUBLIC;
