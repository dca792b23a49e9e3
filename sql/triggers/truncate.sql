-- Capture the emptying of the table.
CREATE OR REPLACE TRIGGER {name} AFTER TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.pubsubpull_capture_truncate({arguments})
