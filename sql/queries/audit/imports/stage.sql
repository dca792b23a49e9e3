-- Stage the changes for an import: the rows that source returns as (place, at, op, old, new,
-- request), with their original values.
-- `place` is the order of an object's changes. If the source lacks the values before an update,
-- they are the values after the previous change; without such a change they are unknown. Times
-- never go back. oldest is the limit of retention, or NULL.
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
