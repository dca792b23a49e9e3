-- A table of the shop was truncated: what its copy holds from before goes. One statement for each of the copies.
WITH truncated AS (
    SELECT model, max(version) AS version
    FROM jsonb_to_recordset(%(body)s::jsonb -> 'items') AS c(version bigint, model text, op text)
    WHERE op = 'truncate' GROUP BY model
),
customers AS (
    DELETE FROM billing_customer t USING truncated c WHERE c.model = 'shop.customer' AND t.version < c.version
),
orders AS (
    DELETE FROM billing_order t USING truncated c WHERE c.model = 'shop.order' AND t.version < c.version
)
DELETE FROM billing_item t USING truncated c WHERE c.model = 'shop.item' AND t.version < c.version
