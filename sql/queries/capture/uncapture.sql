-- Switch capture of models off in this transaction, with a record of each. Return the setting's
-- former value.
SELECT pubsubpull_uncapture({labels}::text[], {reason})
