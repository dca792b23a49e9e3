-- Move replicas to the cursor after the applied changes: their status becomes following.
CREATE FUNCTION {schema}.pubsubpull_move_replicas(moved text[], upto text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pubsubpull_replica
    SET cursor = upto, state = 'following', attempts = 0, failing_since = NULL, next_attempt = NULL,
        last_error = '', applied = now()
    WHERE name = ANY (moved);
END
$$;
