-- The first change after an id, so that a gap in the ids costs one look and not a page for each
-- part of it.
SELECT min(id), (SELECT dropped FROM pubsubpull_log) FROM pubsubpull_change WHERE id > {last} AND id <= {top}
