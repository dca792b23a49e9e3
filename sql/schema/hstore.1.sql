-- Return a value of the log in the form that PostgreSQL reads into `type`. The log has hstore as an
-- object; hstore reads a text. This holds at any depth of arrays, domains and composites. All other
-- values stay unchanged.
CREATE FUNCTION {schema}.pubsubpull_hstore(value jsonb, type oid)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    known pg_type;
    kind text := jsonb_typeof(value);
BEGIN
    IF kind NOT IN ('array', 'object') THEN
        RETURN value;
    END IF;
    SELECT t.* INTO known FROM pg_type t WHERE t.oid = type;
    IF known.typtype = 'd' THEN
        RETURN {schema}.pubsubpull_hstore(value, known.typbasetype);
    ELSIF kind = 'array' AND known.typcategory = 'A' THEN
        -- An array within an array has the same type: it has more dimensions.
        RETURN (
            SELECT coalesce(jsonb_agg(
                CASE
                    WHEN jsonb_typeof(e) = 'array' THEN {schema}.pubsubpull_hstore(e, type)
                    ELSE {schema}.pubsubpull_hstore(e, known.typelem)
                END
                ORDER BY i
            ), '[]')
            FROM jsonb_array_elements(value) WITH ORDINALITY AS a(e, i)
        );
    ELSIF kind = 'object' AND known.typtype = 'c' THEN
        RETURN value || (
            SELECT coalesce(jsonb_object_agg(
                a.attname, {schema}.pubsubpull_hstore(value -> a.attname::text, a.atttypid)
            ), '{{}}')
            FROM pg_attribute a
            WHERE a.attrelid = known.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                AND value ? a.attname::text
        );
    ELSIF kind = 'object' AND known.typname = 'hstore' THEN
        RETURN (
            SELECT to_jsonb(coalesce(string_agg(
                '"' || regexp_replace(k, '(["\\])', '\\\1', 'g') || '"=>'
                || coalesce('"' || regexp_replace(v, '(["\\])', '\\\1', 'g') || '"', 'NULL'),
                ','
            ), ''))
            FROM jsonb_each_text(value) AS p(k, v)
        );
    END IF;
    RETURN value;
END
$$;
