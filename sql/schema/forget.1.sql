-- Puts what is to be left of a change's rows in their place, and records it: the digest that the rows had, so that seals over the change still
-- prove its other parts; and that of what is left, so that it cannot be altered later. The salt goes with the rows. `gone` are the columns, NULL
-- for all of the row: then an update or insert becomes 'E', and a delete 'X'. What no seal stands for yet has no digest: a random one takes its place. The caller holds
-- the lock of the seals, as pubsubpull_erase does.
CREATE FUNCTION {schema}.pubsubpull_forget(change bigint, gone text[], left_old jsonb, left_new jsonb, by_whom text, why text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c record;
    earlier record;
    sealed record;
    before bytea;
    salt_left bytea := CASE WHEN gone IS NOT NULL THEN uuid_send(gen_random_uuid()) ELSE '' END;
BEGIN
    SELECT * INTO c FROM {schema}.pubsubpull_change WHERE id = change FOR UPDATE;
    SELECT e.remains INTO earlier FROM {schema}.pubsubpull_erasure e WHERE e.change_id = change ORDER BY e.id DESC LIMIT 1;
    IF FOUND THEN
        before := earlier.remains;
        UPDATE {schema}.pubsubpull_erasure SET salt = NULL WHERE change_id = change AND salt IS NOT NULL;
    ELSE
        SELECT s.id, s.salts, (array_position(s.ids, change) - 1) * 16 + 1 AS place INTO sealed FROM {schema}.pubsubpull_seal s
        WHERE s.kind = CASE WHEN change > 0 THEN 'changes' ELSE 'imported' END AND s.last_id >= change AND s.first_id <= change AND change = ANY (s.ids)
        ORDER BY s.last_id LIMIT 1;
        IF FOUND THEN
            before := {schema}.pubsubpull_rows_digest(substr(sealed.salts, sealed.place, 16), c.old, c.new);
            UPDATE {schema}.pubsubpull_seal SET salts = overlay(salts PLACING decode(repeat('00', 16), 'hex') FROM sealed.place) WHERE id = sealed.id;
        ELSE
            before := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
        END IF;
    END IF;
    INSERT INTO {schema}.pubsubpull_erasure (id, change_id, model, key, op, columns, digest, remains, salt, erased_by, reason)
    SELECT coalesce(max(e.id), 0) + 1, c.id, c.model, c.key, c.op, gone, before,
        CASE WHEN coalesce(left_old, left_new) IS NOT NULL THEN {schema}.pubsubpull_rows_digest(salt_left, left_old, left_new) END,
        CASE WHEN coalesce(left_old, left_new) IS NOT NULL THEN salt_left END, by_whom, why
    FROM {schema}.pubsubpull_erasure e;
    UPDATE {schema}.pubsubpull_change SET old = left_old, new = left_new,
        op = CASE WHEN gone IS NOT NULL THEN op WHEN op = 'D' THEN 'X' ELSE "char" 'E' END
    WHERE id = change;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_forget(bigint, text[], jsonb, jsonb, text, text) FROM PUBLIC;
