-- Switches capture of models off in this transaction, with a record of each; returns what the
-- setting was before.
SELECT pubsubpull_uncapture({labels}::text[], {reason})
