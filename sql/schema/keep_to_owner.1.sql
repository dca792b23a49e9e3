-- Revoke every right on a table from all roles but its owner. A partition is read and written
-- through the log. Rights of its own, as default privileges may grant them, would bypass the rights
-- on the log.
CREATE FUNCTION {schema}.pubsubpull_keep_to_owner(part regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC')
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = part AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', part, grantee);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION {schema}.pubsubpull_keep_to_owner(regclass) FROM PUBLIC;
