-- Drop a trigger.
DROP TRIGGER IF EXISTS {name} ON {table}
