-- Select the changes of a page without the columns hidden by now. OFFSET 0 stops the planner from
-- computing the images twice if the outer query names them twice.
SELECT id, xid, at, model, op, key, request_id, {old} AS old, {new} AS new, {cut} AS cut
FROM ({window}) AS w
OFFSET 0
