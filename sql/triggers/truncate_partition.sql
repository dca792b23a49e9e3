-- Capture the emptying of a partition. BEFORE: its rows can still be read.
CREATE OR REPLACE TRIGGER {name} BEFORE TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.pubsubpull_capture_truncate_partition({arguments})
