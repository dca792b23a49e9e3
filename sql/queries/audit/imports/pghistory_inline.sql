-- Return the context of an event of django-pghistory: columns of the event itself, or none.
SELECT {id}::uuid AS id, NULL::timestamptz AS started, {metadata}::jsonb AS metadata
