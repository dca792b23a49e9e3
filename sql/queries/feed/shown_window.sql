-- The changes of a page without what is hidden by now. OFFSET keeps the images from being made
-- twice, where they are named twice.
SELECT id, xid, at, model, op, key, request_id, {old} AS old, {new} AS new, {cut} AS cut
FROM ({window}) AS w
OFFSET 0
