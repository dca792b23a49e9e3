-- Some are taken back.
DELETE FROM shop_order WHERE reference LIKE 'SQL-%%' AND id %% 10 = 1
