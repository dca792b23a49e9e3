-- The digests of the changes of a range, in order; of one that was erased, the digest that it had, as long as nothing of its rows is left.
CREATE FUNCTION {schema}.pubsubpull_digests(low bigint, high bigint) RETURNS TABLE (id bigint, digest bytea) LANGUAGE sql STABLE AS $$
    SELECT c.id, CASE WHEN e.digest IS NOT NULL AND c.op = 'E' AND c.old IS NULL AND c.new IS NULL THEN e.digest ELSE {schema}.pubsubpull_digest(c) END
    FROM {schema}.pubsubpull_change c LEFT JOIN {schema}.pubsubpull_erasure e ON e.change_id = c.id
    WHERE c.id BETWEEN low AND high ORDER BY c.id
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_digests(bigint, bigint) FROM PUBLIC;
