-- Return the orders made by SQL. Orders of users are left alone, so that their trails stay
-- readable.
SELECT id FROM shop_order WHERE reference LIKE 'SQL-%' ORDER BY id
