-- Return the digest of a change's rows with its salt. JSON has no character 1, so the two texts
-- cannot run into each other. pubsubpull.audit.integrity.proof computes the same digest.
CREATE FUNCTION {schema}.pubsubpull_rows_digest(salt bytea, old jsonb, new jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(salt || convert_to(coalesce(old::text, '') || chr(1) || coalesce(new::text, ''), 'UTF8'))
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_rows_digest(bytea, jsonb, jsonb) FROM PUBLIC;
