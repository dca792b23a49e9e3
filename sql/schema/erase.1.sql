-- Erases the rows of an object's changes, of those that are settled and of those that are not, and
-- records each. What is left of a change is that there was one; of a delete also its key, so that a
-- reader that was behind still hears of it. What an import has written down of the object, and has
-- not brought into the log yet, goes as well. Gives how many changes were erased.
CREATE FUNCTION {schema}.pubsubpull_erase(
    label text, row_key text, key_columns text[], by_whom text, why text
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- No seal is to be made, and no import to be half-way through bringing in what is erased here.
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
