-- Mark every other order as paid.
UPDATE shop_order SET status = 'paid' WHERE reference LIKE 'SQL-%%' AND id %% 2 = 0
