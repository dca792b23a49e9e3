-- Erases the rows of an object's changes, of those that are settled and of those that are not, and notes the digest that each had. What is left
-- of a change is that there was one. Gives how many were erased.
CREATE FUNCTION {schema}.pubsubpull_erase(label text, row_key text, by_whom text, why text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n bigint;
BEGIN
    INSERT INTO {schema}.pubsubpull_erasure (change_id, model, digest, erased_by, reason)
    SELECT c.id, c.model, {schema}.pubsubpull_digest(c), by_whom, why FROM {schema}.pubsubpull_change c
    WHERE c.model = label AND c.key = row_key AND c.op <> 'E';
    UPDATE {schema}.pubsubpull_change c SET op = 'E', old = NULL, new = NULL
    FROM {schema}.pubsubpull_erasure e WHERE e.change_id = c.id AND c.model = label AND c.key = row_key AND c.op <> 'E';
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_erase(text, text, text, text) FROM PUBLIC;
