-- Insert orders of existing customers in a single statement.
INSERT INTO shop_order (customer_id, reference, total, card)
SELECT ids[1 + n %% cardinality(ids)], 'SQL-' || n, 10 + n %% 90, '4111 1111 1111 1111'
FROM generate_series(1, %(count)s) AS n, (SELECT array_agg(id ORDER BY id) AS ids FROM shop_customer) AS c
