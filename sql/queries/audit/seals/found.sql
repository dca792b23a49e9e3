-- Return the state of the chain: its last seal, how many there are, and the seal with the hash
-- {expect}. Return also which of the tables to read are missing, or show only some of their rows.
SELECT coalesce(max(s.id), 0), count(s.*), min(s.id) FILTER (WHERE encode(s.hash, 'hex') = {expect}),
    ARRAY(
        SELECT c.relname::text
        FROM pg_class c
        WHERE c.oid IN (
            to_regclass('pubsubpull_change'), to_regclass('pubsubpull_request'),
            to_regclass('pubsubpull_seal'), to_regclass('pubsubpull_erasure')
        )
        AND (
            c.relkind NOT IN ('r', 'p')
            OR c.relrowsecurity
            OR EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid)
        )
    )
FROM pubsubpull_seal s
