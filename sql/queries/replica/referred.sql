-- Return the schema and the name of the table that a foreign key refers to.
SELECT n.nspname::text, c.relname::text
FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.conname = {constraint} AND k.conrelid = to_regclass(format('%I.%I', {schema}::text, {table}::text))
