-- Applies a page to one replica as apply.sql does, where no row of it goes, and none comes twice:
-- such a statement is planned sooner.
INSERT INTO {target} AS t ({names})
SELECT {values}
FROM (SELECT version, data FROM {page} WHERE model = {source}) AS p {records}
ON CONFLICT ({key}) {update}
