-- The first and the last id of the captured changes, the last one of the imported past, and the ids of two moments in that.
SELECT (SELECT min(id) FROM pubsubpull_change WHERE id > 0), (SELECT max(id) FROM pubsubpull_change WHERE id > 0),
    (SELECT max(id) FROM pubsubpull_change WHERE id < 0), pubsubpull_past_id({since}::timestamptz), pubsubpull_past_id({until}::timestamptz)
