-- Two ids, less than {near} apart, between which the log comes to a moment: before the first all
-- changes are earlier, from the second on all are of the moment or later. Each step looks at one
-- change by the primary key, where the moment is if ids go evenly with time between the two nearest
-- that are known, and a little beyond, so as to leave the smaller part. Where two such steps have
-- not halved what is left, the next one does: a log of any shape takes few steps.
WITH RECURSIVE looked AS (
    SELECT 0 AS step, 0 AS bad, {low}::bigint AS low, {high}::bigint AS high, {low_at}::timestamptz AS low_at,
        {high_at}::timestamptz AS high_at
    UNION ALL
    SELECT l.step + 1,
        CASE WHEN l.bad = 2 OR n.high - n.low <= (l.high - l.low) / 2 THEN 0 ELSE l.bad + 1 END,
        n.low, n.high, n.low_at, n.high_at
    FROM looked l
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN l.bad < 2 AND l.high_at > l.low_at
                THEN extract(epoch FROM {moment}::timestamptz - l.low_at)
                    / extract(epoch FROM l.high_at - l.low_at)
            ELSE 0.5
        END AS share
    ) AS s
    CROSS JOIN LATERAL (
        SELECT l.low + greatest(0, least(l.high - l.low - 1, trunc(
            (l.high - l.low)
            * (s.share + CASE WHEN l.bad = 2 THEN 0 WHEN s.share < 0.5 THEN 0.01 ELSE -0.01 END)
        )))::bigint AS id
    ) AS g
    LEFT JOIN LATERAL (
        SELECT c.id, c.at FROM pubsubpull_change c WHERE c.id >= g.id ORDER BY c.id LIMIT 1
    ) AS f ON true
    CROSS JOIN LATERAL (
        SELECT f.id + 1 AS low, l.high, f.at AS low_at, l.high_at WHERE f.at < {moment}::timestamptz
        UNION ALL
        SELECT l.low, g.id, l.low_at, coalesce(f.at, l.high_at)
        WHERE NOT coalesce(f.at < {moment}::timestamptz, false)
    ) AS n
    WHERE l.high - l.low >= {near}
)
SELECT low, high, step FROM looked ORDER BY step DESC LIMIT 1
