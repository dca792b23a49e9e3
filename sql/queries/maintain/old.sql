-- Of the log's first changes, at most {at_most}, those before the first that is not older than
-- {cutoff}: the id of the last, and the newest transaction that wrote one of them.
SELECT max(id), max(xid::text::bigint) FILTER (WHERE id > {restored})
FROM (SELECT id, xid, bool_and(at < to_timestamp({cutoff})) OVER (ORDER BY id) AS old
      FROM (
          SELECT id, xid, at
          FROM pubsubpull_change
          WHERE id > {dropped} AND id <= {settled}
          ORDER BY id
          LIMIT {at_most}
      ) AS first) AS c
WHERE old
