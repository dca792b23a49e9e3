-- Do the second half of a client's transaction: raise the order's total.
UPDATE shop_order SET total = total + %(price)s WHERE id = %(order)s
