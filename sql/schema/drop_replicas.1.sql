-- Takes away what replicas use.
DROP FUNCTION {schema}.pubsubpull_take_page(text, text[], text[], text, text, jsonb, text);
DROP FUNCTION {schema}.pubsubpull_move_replicas(text[], text);
