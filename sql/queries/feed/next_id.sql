-- Return the first change after an id. A gap in the ids then costs a single look instead of a page
-- for each part of it.
SELECT min(id), (SELECT dropped FROM pubsubpull_log) FROM pubsubpull_change WHERE id > {last} AND id <= {top}
