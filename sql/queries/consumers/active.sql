-- The active consumer with a token of this hash. The API asks with every call, so it is asked
-- without the ORM's share of the time.
SELECT id, name, token_hash, granted::text, may_audit, may_subscribe, may_monitor, active, created
FROM pubsubpull_consumer WHERE token_hash = {token_hash} AND active
