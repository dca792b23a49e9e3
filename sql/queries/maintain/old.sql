-- Return the id of the last of the log's leading changes older than {cutoff}, at most {at_most} of
-- them, and the newest transaction that wrote one of them. The first younger change ends them.
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
