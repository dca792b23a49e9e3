-- Deletes requests that no change refers to.
SELECT pubsubpull_prune_requests(to_timestamp({before}), {at_most})
