-- Write the checkpoints of many subscriptions at once, if the worker still has the leases. Release
-- a subscription whose new state is not delivered to. Each checkpoint is a row of the table with
-- only its own columns, the id and the lease filled.
UPDATE pubsubpull_subscription s
SET ({columns}) = ROW ({values}),
    worker = CASE WHEN v.state = ANY({served}) THEN s.worker END,
    -- The lease grows with the release: a late write of the former worker then has an old lease and
    -- changes nothing.
    lease = s.lease + CASE WHEN v.state = ANY({served}) THEN 0 ELSE 1 END
FROM jsonb_populate_recordset(NULL::pubsubpull_subscription, {checkpoints}::jsonb) AS v
WHERE s.id = v.id AND s.worker = {worker} AND s.lease = v.lease
RETURNING s.id
