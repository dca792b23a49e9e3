-- Takes a trigger away.
DROP TRIGGER IF EXISTS {name} ON {table}
