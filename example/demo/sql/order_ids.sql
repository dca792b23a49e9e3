-- The orders there are.
SELECT id FROM shop_order ORDER BY id
