-- Record the trigger's fingerprint.
COMMENT ON TRIGGER {name} ON {table} IS {fingerprint}
