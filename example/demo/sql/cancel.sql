-- Delete some of the orders.
DELETE FROM shop_order WHERE reference LIKE 'SQL-%%' AND id %% 10 = 1
