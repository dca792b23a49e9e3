-- Load items from a file, as of a warehouse.
COPY shop_item (order_id, article, quantity, price) FROM STDIN
