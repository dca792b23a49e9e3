-- Return the ids of the next unsealed imported changes, at most {at_most} and at most some
-- megabytes.
SELECT id FROM (
    SELECT id, sum(coalesce(pg_column_size(old), 0) + coalesce(pg_column_size(new), 0)) OVER (ORDER BY id)
        - coalesce(pg_column_size(old), 0) - coalesce(pg_column_size(new), 0) AS before
    FROM (
        SELECT * FROM pubsubpull_change c WHERE c.id < 0 AND NOT EXISTS (
            SELECT
            FROM (
                SELECT unnest(ids) AS id FROM pubsubpull_seal WHERE kind = 'imported' AND ids IS NOT NULL
            ) AS s
            WHERE s.id = c.id)
        ORDER BY id LIMIT {at_most}) AS next
) AS sized WHERE before < {bytes} ORDER BY id
