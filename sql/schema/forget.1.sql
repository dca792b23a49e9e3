-- Remove columns from the rows of some changes (all columns if `gone` is NULL) and record it.
-- Return how many changes there were.
-- The record keeps the digest of the former rows and the digest of the remaining values, so that
-- seals over a change still prove its other parts. The salts are removed with the rows. A change
-- without remaining values becomes 'E'; a delete becomes 'X' and keeps its key, by `key_columns`.
-- An unsealed change has no digest: a random one takes its place.
CREATE FUNCTION {schema}.pubsubpull_forget(
    changes bigint[], gone text[], key_columns text[], by_whom text, why text
)
RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    base bigint;
    one record;
    place integer;
    kept bytea;
    n bigint;
BEGIN
    -- Take the lock before any change is read: a concurrent seal would cover rows that are gone
    -- when it is done.
    PERFORM pg_advisory_xact_lock('{schema}.pubsubpull_seal'::regclass::oid::integer, 1);
    base := (SELECT coalesce(max(id), 0) FROM {schema}.pubsubpull_erasure);
    INSERT INTO {schema}.pubsubpull_erasure (
        id, change_id, model, key, op, columns, digest, remains, salt, erased_by, reason
    )
    SELECT base + row_number() OVER (ORDER BY c.id), c.id, c.model, c.key, c.op, gone,
        CASE
            WHEN e.id IS NOT NULL THEN e.remains
            WHEN s.salt IS NOT NULL THEN {schema}.pubsubpull_rows_digest(s.salt, c.old, c.new)
            ELSE sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        END,
        CASE
            WHEN coalesce(l.old, l.new) IS NOT NULL THEN {schema}.pubsubpull_rows_digest(l.salt, l.old, l.new)
        END,
        CASE WHEN coalesce(l.old, l.new) IS NOT NULL THEN l.salt END, by_whom, why
    FROM {schema}.pubsubpull_change c
    LEFT JOIN LATERAL (
        SELECT a.id, a.remains
        FROM {schema}.pubsubpull_erasure a
        WHERE a.change_id = c.id
        ORDER BY a.id DESC
        LIMIT 1
    ) AS e ON true
    LEFT JOIN LATERAL (
        SELECT substr(a.salts, (array_position(a.ids, c.id) - 1) * 16 + 1, 16) AS salt
        FROM {schema}.pubsubpull_seal a
        WHERE a.kind = CASE WHEN c.id > 0 THEN 'changes' ELSE 'imported' END
            AND a.last_id >= c.id
            AND a.first_id <= c.id
            AND c.id = ANY (a.ids)
        ORDER BY a.last_id LIMIT 1) AS s ON e.id IS NULL
    CROSS JOIN LATERAL (
        SELECT CASE
                WHEN gone IS NOT NULL THEN c.old - gone
                WHEN c.op = 'D' THEN (
                    SELECT coalesce(jsonb_object_agg(k, c.old -> k), '{{}}')
                    FROM unnest(key_columns) AS k
                    WHERE c.old ? k
                )
            END AS old,
            c.new - gone AS new,
            CASE WHEN gone IS NOT NULL THEN uuid_send(gen_random_uuid()) ELSE '' END AS salt
        OFFSET 0
    ) AS l
    WHERE c.id = ANY (changes);
    UPDATE {schema}.pubsubpull_erasure
    SET salt = NULL
    WHERE change_id = ANY (changes) AND id <= base AND salt IS NOT NULL;
    FOR one IN
        SELECT f.id, array_agg(f.place) AS places FROM unnest(changes) AS c (id) CROSS JOIN LATERAL (
            SELECT a.id, (array_position(a.ids, c.id) - 1) * 16 + 1 AS place FROM {schema}.pubsubpull_seal a
            WHERE a.kind = CASE WHEN c.id > 0 THEN 'changes' ELSE 'imported' END
                AND a.last_id >= c.id
                AND a.first_id <= c.id
                AND c.id = ANY (a.ids)
            ORDER BY a.last_id LIMIT 1) AS f GROUP BY f.id
    LOOP
        kept := (SELECT a.salts FROM {schema}.pubsubpull_seal a WHERE a.id = one.id);
        FOREACH place IN ARRAY one.places LOOP
            kept := overlay(kept PLACING decode(repeat('00', 16), 'hex') FROM place);
        END LOOP;
        UPDATE {schema}.pubsubpull_seal a SET salts = kept WHERE a.id = one.id;
    END LOOP;
    UPDATE {schema}.pubsubpull_change c SET
        old = CASE
            WHEN gone IS NOT NULL THEN c.old - gone
            WHEN c.op = 'D' THEN (
                SELECT coalesce(jsonb_object_agg(k, c.old -> k), '{{}}')
                FROM unnest(key_columns) AS k
                WHERE c.old ? k
            )
        END,
        new = c.new - gone,
        op = CASE WHEN gone IS NOT NULL THEN c.op WHEN c.op = 'D' THEN 'X' ELSE "char" 'E' END
    WHERE c.id = ANY (changes);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_forget(bigint[], text[], text[], text, text) FROM PUBLIC;
