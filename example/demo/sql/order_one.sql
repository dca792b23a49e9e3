-- Do the first half of a client's transaction: add an item to an order.
INSERT INTO shop_item (order_id, article, quantity, price) VALUES (%(order)s, 'tea', 1, %(price)s)
