-- Return how many rows a range of keys has, and a hash of them all that does not depend on their
-- order. The settings are those of the capture functions.
CREATE FUNCTION {schema}.pubsubpull_range_hash(
    relation regclass, keys text[], columns text[], masked text[], filter jsonb, past text[], until text[],
    OUT n bigint, OUT hash bigint
) LANGUAGE plpgsql STABLE
SET jit = off
SET row_security = off
{text_settings}
AS $$
BEGIN
    EXECUTE format('SELECT count(*), coalesce(bit_xor(h), 0) FROM (%s) AS rows',
                   {schema}.pubsubpull_hash_query(relation, keys, columns, masked, filter, past, until))
    INTO n, hash;
END
$$;
