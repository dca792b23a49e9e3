-- What was found of a model, by why it is not brought in, NULL where it is; how much of that the log has already; and from when until when it is.
SELECT why, count(*), count(*) FILTER (WHERE there), min(at), max(at) FROM (
    SELECT i.why, i.at, i.why IS NULL AND i.nth <= (
        SELECT count(*) FROM pubsubpull_change c
        WHERE c.key = i.key AND c.model = {label} AND c.id >= pubsubpull_past_id(i.at) AND c.id < least(0, pubsubpull_past_id(i.at) + 3600000000)
          AND c.at = i.at AND c.op = i.op) AS there
    FROM pubsubpull_import i WHERE i.model = {label}
) AS f GROUP BY why
