-- Remove columns from a model's changes between two ids, and record it for each change. A `masked`
-- column is only removed where it holds more than the mask. Return how many changes there were.
CREATE FUNCTION {schema}.pubsubpull_forget_columns(
    label text, columns text[], masked text[], low bigint, high bigint, by_whom text, why text
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found bigint[];
    unmasked bigint[];
BEGIN
    -- Lock out seals before any change is read: a concurrent seal would cover removed values.
    PERFORM pg_advisory_xact_lock('{schema}.pubsubpull_seal'::regclass::oid::integer, 1);
    found := ARRAY(
        SELECT c.id
        FROM {schema}.pubsubpull_change c
        WHERE c.id >= low AND c.id < high AND c.model = label AND (c.old ?| columns OR c.new ?| columns));
    unmasked := ARRAY(
        SELECT c.id
        FROM {schema}.pubsubpull_change c
        WHERE masked <> '{{}}' AND c.id >= low AND c.id < high AND c.model = label
          AND (
              c.old <> {schema}.pubsubpull_mask(c.old, masked)
              OR c.new <> {schema}.pubsubpull_mask(c.new, masked)
          ));
    IF found <> '{{}}' THEN
        PERFORM {schema}.pubsubpull_forget(found, columns, NULL, by_whom, why);
    END IF;
    IF unmasked <> '{{}}' THEN
        PERFORM {schema}.pubsubpull_forget(unmasked, masked, NULL, by_whom, why);
    END IF;
    RETURN (SELECT count(DISTINCT id) FROM unnest(found || unmasked) AS id);
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_forget_columns(text, text[], text[], bigint, bigint, text, text)
FROM PUBLIC;
