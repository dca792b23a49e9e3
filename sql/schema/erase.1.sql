-- Erase the rows of an object's changes, settled or not, and record each erasure. Return how many
-- changes were erased.
-- An erased change only says that it happened. An erased delete keeps its key, so that a reader
-- behind it still learns of it. Changes of the object that an import has staged are deleted as
-- well.
CREATE FUNCTION {schema}.pubsubpull_erase(
    label text, row_key text, key_columns text[], by_whom text, why text
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Lock out seals, and then imports: neither may be half-way through a change that is erased
    -- here.
    PERFORM pg_advisory_xact_lock('{schema}.pubsubpull_seal'::regclass::oid::integer, 1);
    PERFORM pg_advisory_xact_lock('{schema}.pubsubpull_change'::regclass::oid::integer, 2);
    DELETE FROM {schema}.pubsubpull_import WHERE model = label AND key = row_key;
    RETURN {schema}.pubsubpull_forget(
        ARRAY(
            SELECT c.id
            FROM {schema}.pubsubpull_change c
            WHERE c.model = label
                AND c.key::varchar(255) = row_key::varchar(255)
                AND c.key = row_key
                AND c.op NOT IN ('E', 'X')
        ),
        NULL, key_columns, by_whom, why);
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_erase(text, text, text[], text, text) FROM PUBLIC;
