-- Two ids, less than {near} apart, between which the log comes to a moment: before the first all changes are earlier, from the second on all are of
-- the moment or later. Each step looks at one change by the primary key: twice around where the moment is if ids go evenly with time between
-- the two nearest that are known, and then in their middle, so that a log of any shape takes few steps.
WITH RECURSIVE looked AS (
    SELECT 0 AS step, {low}::bigint AS low, {high}::bigint AS high, {low_at}::timestamptz AS low_at, {high_at}::timestamptz AS high_at
    UNION ALL
    SELECT l.step + 1,
           CASE WHEN f.at < {moment}::timestamptz THEN f.id + 1 ELSE l.low END, CASE WHEN f.at < {moment}::timestamptz THEN l.high ELSE g.id END,
           CASE WHEN f.at < {moment}::timestamptz THEN f.at ELSE l.low_at END, CASE WHEN f.at < {moment}::timestamptz THEN l.high_at ELSE coalesce(f.at, l.high_at) END
    FROM looked l
    CROSS JOIN LATERAL (
        SELECT CASE WHEN l.high_at > l.low_at
            THEN least(1, greatest(0, extract(epoch FROM {moment}::timestamptz - l.low_at) / extract(epoch FROM l.high_at - l.low_at))) ELSE 0.5 END AS share
    ) AS s
    CROSS JOIN LATERAL (
        SELECT l.low + greatest(0, least(l.high - l.low - 1, trunc((l.high - l.low) * (
            CASE l.step % 3 WHEN 0 THEN s.share - 0.03 WHEN 1 THEN s.share + 0.03 ELSE 0.5 END))::bigint)) AS id
    ) AS g
    LEFT JOIN LATERAL (SELECT c.id, c.at FROM pubsubpull_change c WHERE c.id >= g.id ORDER BY c.id LIMIT 1) AS f ON true
    WHERE l.high - l.low >= {near}
)
SELECT low, high, step FROM looked ORDER BY step DESC LIMIT 1
