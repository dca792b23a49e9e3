-- Return the context of an event of django-pghistory: a row of its own, which may be missing.
SELECT c.id, c.created_at AS started, c.metadata
FROM (SELECT) AS nothing
LEFT JOIN {contexts} AS c ON c.id = e.pgh_context_id
