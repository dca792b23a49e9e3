-- Return the ids of the next changes to seal: at most {at_most} above {after} and up to {until}, at
-- most some megabytes, and only those before the first change younger than {age} seconds.
SELECT id FROM (
    SELECT id, bool_and(at <= clock_timestamp() - make_interval(secs => {age})) OVER w AS old,
        sum(
            coalesce(pg_column_size(old), 0) + coalesce(pg_column_size(new), 0)
        ) OVER w - coalesce(pg_column_size(old), 0) - coalesce(pg_column_size(new), 0) AS before
    FROM (
        SELECT * FROM pubsubpull_change WHERE id > {after} AND id <= {until} ORDER BY id LIMIT {at_most}
    ) AS next
    WINDOW w AS (ORDER BY id)
) AS sized WHERE old AND before < {bytes} ORDER BY id
