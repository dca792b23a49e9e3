-- Return the columns of a relation that readers do not get: the excluded ones and, if `known` is
-- given, all columns outside `known`. The triggers leave out columns that the model has no field
-- for, or has under another name.
CREATE FUNCTION {schema}.pubsubpull_excluded(relation regclass, excluded text[], known text[])
RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF known IS NULL THEN
        RETURN excluded;
    END IF;
    RETURN excluded || ARRAY(
        SELECT a.attname::text
        FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (known)
    );
END
$$;
