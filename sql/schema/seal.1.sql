-- Seals the next changes, at most `at_most` of them, up to the id that is settled and that changes younger than `age` begin at. Gives the new
-- seal's id, NULL where there is nothing to seal. Two at once seal one after the other.
CREATE FUNCTION {schema}.pubsubpull_seal(at_most integer, age interval) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before record;
    until bigint;
    made record;
BEGIN
    PERFORM pg_advisory_xact_lock('{schema}.pubsubpull_seal'::regclass::oid::integer, 1);
    SELECT s.id, s.last_id, s.hash INTO before FROM {schema}.pubsubpull_seal s ORDER BY s.id DESC LIMIT 1;
    until := (SELECT greatest(settled, restored) FROM {schema}.pubsubpull_log);
    SELECT max(c.id) AS last_id, array_agg(c.id ORDER BY c.id) AS ids INTO made FROM (
        SELECT id, at FROM {schema}.pubsubpull_change
        WHERE id > coalesce(before.last_id, (SELECT dropped FROM {schema}.pubsubpull_log)) AND id <= until ORDER BY id LIMIT at_most
    ) AS c WHERE c.at <= clock_timestamp() - age;
    IF made.last_id IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO {schema}.pubsubpull_seal (id, first_id, last_id, ids, marks, digest, hash)
    SELECT coalesce(before.id, 0) + 1, f.first_id, made.last_id, d.ids, d.marks, d.digest,
           {schema}.pubsubpull_seal_hash(coalesce(before.hash, ''), f.first_id, made.last_id, d.digest)
    FROM (SELECT coalesce(before.last_id + 1, made.ids[1]) AS first_id) AS f, LATERAL (
        SELECT array_agg(g.id ORDER BY g.id) AS ids,
               array_agg(('x' || encode(substr(g.digest, 1, 8), 'hex'))::bit(64)::bigint ORDER BY g.id) AS marks,
               sha256(string_agg(g.digest, '' ORDER BY g.id)) AS digest
        FROM {schema}.pubsubpull_digests(f.first_id, made.last_id) AS g
    ) AS d;
    RETURN coalesce(before.id, 0) + 1;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_seal(integer, interval) FROM PUBLIC;
