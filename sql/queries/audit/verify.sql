-- Looks at the seal {seal} and at the changes that it stands for, above the id {dropped}, up to which they have gone by retention: whether it
-- follows from the seal before it, whether its changes are what they were, and which of them are not: altered, missing or put in.
WITH s AS MATERIALIZED (SELECT * FROM pubsubpull_seal WHERE id = {seal}),
before AS MATERIALIZED (SELECT b.* FROM s JOIN pubsubpull_seal b ON b.id = s.id - 1),
now AS MATERIALIZED (SELECT d.id, d.digest FROM s, LATERAL pubsubpull_digests(greatest(s.first_id, {dropped} + 1), s.last_id) AS d),
sealed AS MATERIALIZED (SELECT m.id, m.mark FROM s, LATERAL unnest(s.ids, s.marks) AS m (id, mark) WHERE m.id > {dropped}),
differing AS (
    SELECT coalesce(n.id, m.id) AS id, CASE WHEN n.id IS NULL THEN 'missing' WHEN m.id IS NULL THEN 'put in' ELSE 'altered' END AS how
    FROM now n FULL JOIN sealed m ON m.id = n.id
    WHERE n.id IS NULL OR m.id IS NULL OR ('x' || encode(substr(n.digest, 1, 8), 'hex'))::bit(64)::bigint <> m.mark
)
SELECT
    s.first_id, s.last_id, encode(s.hash, 'hex'),
    s.hash = pubsubpull_seal_hash(coalesce((SELECT hash FROM before), ''), s.first_id, s.last_id, s.digest)
        AND (SELECT b.last_id + 1 FROM before b) IS NOT DISTINCT FROM CASE WHEN s.id > 1 THEN s.first_id END,
    s.last_id <= {dropped} OR s.first_id <= {dropped} OR s.digest = (SELECT sha256(coalesce(string_agg(digest, '' ORDER BY id), '')) FROM now),
    (SELECT count(*) FROM now),
    ARRAY(SELECT id || ' ' || how FROM differing ORDER BY id LIMIT {at_most})
FROM s
