-- second half: and the order's total is raised.
UPDATE shop_order SET total = total + %(price)s WHERE id = %(order)s
