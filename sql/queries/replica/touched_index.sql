-- Index the touched keys: they are looked up for each row of the copy.
CREATE INDEX ON pg_temp.pubsubpull_touched (model, key)
