-- Items, as a file of a warehouse would bring them.
COPY shop_item (order_id, article, quantity, price) FROM STDIN
