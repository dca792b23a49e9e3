-- Return the active consumer with a token of this hash. Every call of the API runs this, so it does
-- without the ORM's overhead.
SELECT id, name, token_hash, granted::text, may_audit, may_subscribe, may_monitor, active, created
FROM pubsubpull_consumer WHERE token_hash = {token_hash} AND active
