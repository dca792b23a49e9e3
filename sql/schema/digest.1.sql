-- What a change says, and who made it, as 32 bytes. The same whatever session asks.
CREATE FUNCTION {schema}.pubsubpull_digest(c {schema}.pubsubpull_change) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(jsonb_build_array(
        c.id, c.xid::text, extract(epoch FROM c.at), c.model, c.op::text, c.key, c.request_id, c.old, c.new,
        (SELECT jsonb_build_array(r.user_id, r.user_name, r.method, r.path, r.ip, r.source)
         FROM {schema}.pubsubpull_request r WHERE r.id = c.request_id ORDER BY r.xid LIMIT 1)
    )::text, 'UTF8'))
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_digest({schema}.pubsubpull_change) FROM PUBLIC;
