-- Notes what the trigger was made from.
COMMENT ON TRIGGER {name} ON {table} IS {fingerprint}
