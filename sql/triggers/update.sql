-- Capture each statement that updates rows.
CREATE OR REPLACE TRIGGER {name} AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS
    new_rows
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.pubsubpull_capture_update({arguments})
