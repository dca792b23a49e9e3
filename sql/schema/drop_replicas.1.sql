-- Remove the functions of replicas.
DROP FUNCTION {schema}.pubsubpull_take_page(text, text[], text[], text, text, jsonb, text);
DROP FUNCTION {schema}.pubsubpull_move_replicas(text[], text);
