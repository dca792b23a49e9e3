-- Apply a page to a replica as apply.sql does, for a page without deletes and repeated rows: a
-- shorter statement is planned sooner.
INSERT INTO {target} AS t ({names})
SELECT {values}
FROM (SELECT version, data FROM {page} WHERE model = {source}) AS p {records}
ON CONFLICT ({key}) {update}
