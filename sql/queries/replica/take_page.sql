-- Moves replicas to the cursor after a small page and sets the page, for the statements that follow in the same message, provided that all stand
-- before it, follow, and have the tables that these statements were made for. If not, it sets an empty page, and moves none. Whoever comes second
-- waits for the lock, and sees where they stand then. The commit does not wait for the disk: relax.sql says why it need not.
WITH locked AS MATERIALIZED (
    SELECT name, cursor, shape, absent::text FROM pubsubpull_replica WHERE service = {service} ORDER BY name FOR UPDATE
),
stand AS MATERIALIZED (
    SELECT coalesce(count(*) = cardinality({names}::text[]) AND {as_known}, false) AS here FROM locked
    WHERE name = ANY ({names}::text[]) AND cursor = {before} AND shape <> '' AND absent = '[]'
),
moved AS ({move} AND (SELECT here FROM stand))
SELECT here, length(set_config('pubsubpull.page', CASE WHEN here THEN {body} ELSE '{{}}' END, true)), set_config('synchronous_commit', 'off', true)
FROM stand
