-- Return two ids, less than {near} apart, around a moment of the log: all changes before the first
-- are earlier, and all from the second on are at the moment or later.
-- Each step looks at a single change by the primary key. It interpolates between the two nearest
-- known ids, and a little beyond to leave the smaller part. If two such steps have not halved the
-- rest, the next step does: any log takes few steps.
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
