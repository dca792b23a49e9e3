-- What a client does, first half: an item is added to an order,
INSERT INTO shop_item (order_id, article, quantity, price) VALUES (%(order)s, 'tea', 1, %(price)s)
