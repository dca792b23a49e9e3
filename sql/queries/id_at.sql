-- An id from {low} to {high} from which on a change is of the moment or later, and before which the nearest one is earlier: halved until it is
-- found, each time by one look at the primary key, some 30 for a thousand million changes.
WITH RECURSIVE halved AS (
    SELECT {low}::bigint AS low, {high}::bigint AS high
    UNION ALL
    SELECT CASE WHEN f.at < {moment}::timestamptz THEN f.id + 1 ELSE h.low END,
           CASE WHEN f.at < {moment}::timestamptz THEN h.high ELSE (h.low + h.high) / 2 END
    FROM halved h LEFT JOIN LATERAL (
        SELECT c.id, c.at FROM pubsubpull_change c WHERE c.id >= (h.low + h.high) / 2 ORDER BY c.id LIMIT 1) AS f ON true
    WHERE h.low < h.high
)
SELECT low FROM halved WHERE low >= high LIMIT 1
