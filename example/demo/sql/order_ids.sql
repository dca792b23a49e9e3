-- The orders that were made by SQL; those that users placed are left alone, so that their trails stay readable.
SELECT id FROM shop_order WHERE reference LIKE 'SQL-%' ORDER BY id
