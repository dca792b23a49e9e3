-- Every other of them is paid.
UPDATE shop_order SET status = 'paid' WHERE reference LIKE 'SQL-%%' AND id %% 2 = 0
