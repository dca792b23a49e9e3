-- Takes away what replicas use.
DROP FUNCTION pubsubpull_take_page(text, text[], text[], text, text, jsonb, text);
DROP FUNCTION pubsubpull_move_replicas(text[], text);
