-- The text of the state that a version made, without the columns that the log does not know, and with those that are given instead.
-- It stays PostgreSQL's own text: a number of many digits is not to pass through anything that rounds.
SELECT op::text, (new - {hidden}::text[] || {given}::jsonb)::text FROM pubsubpull_change
WHERE id = {version} AND model = {model} AND key = {key}
