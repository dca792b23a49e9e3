-- Correct an order by hand.
UPDATE shop_order SET total = total - 5, internal_note = 'told nobody' WHERE id = %(order)s
