-- Applies a page of changes to the copies, by one statement: of each row its last change in the page, where it is newer than the copy.
-- Rows from before a truncate in the same page are left out.
WITH page AS MATERIALIZED (
    SELECT version, model, key, op, new
    FROM jsonb_to_recordset(%(body)s::jsonb -> 'items') AS c(version bigint, model text, key text, op text, new jsonb)
),
latest AS MATERIALIZED (
    SELECT DISTINCT ON (model, key) version, model, key::bigint AS id, op, new
    FROM page p
    WHERE op <> 'truncate'
      AND NOT EXISTS (SELECT FROM page t WHERE t.op = 'truncate' AND t.model = p.model AND t.version > p.version)
    ORDER BY model, key, version DESC
),
customer_deletes AS (
    DELETE FROM billing_customer t USING latest c
    WHERE c.model = 'shop.customer' AND c.op = 'delete' AND t.id = c.id AND t.version < c.version
),
customer_writes AS (
    INSERT INTO billing_customer AS t (id, version, name, email, city, joined)
    SELECT c.id, c.version, r.*
    FROM latest c CROSS JOIN LATERAL
         jsonb_to_record(c.new) AS r(name text, email text, city text, joined timestamptz)
    WHERE c.model = 'shop.customer' AND c.op <> 'delete'
    ON CONFLICT (id) DO UPDATE
    SET (version, name, email, city, joined)
        = (excluded.version, excluded.name, excluded.email, excluded.city, excluded.joined)
    WHERE t.version < excluded.version
),
order_deletes AS (
    DELETE FROM billing_order t USING latest c
    WHERE c.model = 'shop.order' AND c.op = 'delete' AND t.id = c.id AND t.version < c.version
),
order_writes AS (
    INSERT INTO billing_order AS t (id, version, customer_id, reference, status, total, placed, card)
    SELECT c.id, c.version, r.*
    FROM latest c CROSS JOIN LATERAL
         jsonb_to_record(c.new) AS r(customer_id bigint, reference text, status text, total numeric, placed timestamptz, card text)
    WHERE c.model = 'shop.order' AND c.op <> 'delete'
    ON CONFLICT (id) DO UPDATE
    SET (version, customer_id, reference, status, total, placed, card)
        = (excluded.version, excluded.customer_id, excluded.reference, excluded.status, excluded.total,
           excluded.placed, excluded.card)
    WHERE t.version < excluded.version
),
item_deletes AS (
    DELETE FROM billing_item t USING latest c
    WHERE c.model = 'shop.item' AND c.op = 'delete' AND t.id = c.id AND t.version < c.version
),
item_writes AS (
    INSERT INTO billing_item AS t (id, version, order_id, article, quantity, price)
    SELECT c.id, c.version, r.*
    FROM latest c CROSS JOIN LATERAL
         jsonb_to_record(c.new) AS r(order_id bigint, article text, quantity integer, price numeric)
    WHERE c.model = 'shop.item' AND c.op <> 'delete'
    ON CONFLICT (id) DO UPDATE
    SET (version, order_id, article, quantity, price)
        = (excluded.version, excluded.order_id, excluded.article, excluded.quantity, excluded.price)
    WHERE t.version < excluded.version
),
sources AS (
    UPDATE billing_source SET cursor = %(cursor)s WHERE name = 'shop'
)
INSERT INTO billing_page (kind, size, versions)
SELECT %(kind)s, count(*), array_agg(version ORDER BY version) FROM page HAVING count(*) > 0
