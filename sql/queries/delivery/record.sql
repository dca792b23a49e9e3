-- Writes the checkpoints of many subscriptions at once, if the worker still has the leases. A
-- subscription in a state that is not delivered to is released. Each checkpoint is a row of the
-- table, of which only its own columns, the id and the lease are filled.
UPDATE pubsubpull_subscription s
SET ({columns}) = ROW ({values}),
    worker = CASE WHEN v.state = ANY({served}) THEN s.worker END,
    -- The lease grows as it is let go: nothing that its worker still has on its way is written.
    lease = s.lease + CASE WHEN v.state = ANY({served}) THEN 0 ELSE 1 END
FROM jsonb_populate_recordset(NULL::pubsubpull_subscription, {checkpoints}::jsonb) AS v
WHERE s.id = v.id AND s.worker = {worker} AND s.lease = v.lease
RETURNING s.id
