-- Return the users' names by id, as text.
SELECT {id}::text AS id, {name}::text AS name FROM {table}
