-- The hash of a seal: of the one before it, of its range, and of all digests in it.
CREATE FUNCTION {schema}.pubsubpull_seal_hash(before bytea, first_id bigint, last_id bigint, digest bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(before || int8send(first_id) || int8send(last_id) || digest)
$$;
