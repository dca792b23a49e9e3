-- Writes down what an import is to bring into the log: the changes that source gives as (place, at,
-- op, old, new, request), the rows as they were.
-- `place` is the order of one object's changes. What they were before an update is what the change
-- before left, where the source does not say; where there is none, nothing is known of it. Times
-- never go back. oldest is what retention keeps, or NULL.
INSERT INTO pubsubpull_import (model, at, place, nth, op, key, old, new, request, why)
SELECT {label}, at, place, row_number() OVER (PARTITION BY key, at, op ORDER BY place), op, key,
    CASE WHEN why IS NULL THEN pubsubpull_mask(old - {excluded}::text[], {masked}::text[]) END,
    CASE WHEN why IS NULL THEN pubsubpull_mask(new - {excluded}::text[], {masked}::text[]) END,
    request, why
FROM (
    SELECT c.*, CASE
        WHEN op = 'U' AND old - {excluded}::text[] = new - {excluded}::text[] THEN 'same'
        WHEN at >= {captured}::timestamptz THEN 'captured'
        WHEN at < {oldest}::timestamptz THEN 'retention'
        WHEN EXISTS (
            SELECT
            FROM pubsubpull_erasure e
            WHERE e.key::varchar(255) = c.key::varchar(255)
                AND e.key = c.key
                AND e.model = {label}
                AND e.columns IS NULL
        )
            THEN 'erased'
        END AS why
    FROM (
        SELECT place, max(at) OVER (PARTITION BY key ORDER BY place) AS at, op::"char" AS op, key,
            CASE
                WHEN op = 'U' THEN coalesce(old, lag(new) OVER (PARTITION BY key ORDER BY place), '{{}}')
                WHEN op = 'D' THEN old
            END AS old,
            CASE WHEN op <> 'D' THEN new END AS new, request
        FROM (
            SELECT s.*, pubsubpull_key(coalesce(s.new, s.old), {columns}::text[]) AS key
            FROM ({source}) AS s
            OFFSET 0
        ) AS k
        WHERE key IS NOT NULL
    ) AS c
) AS d
