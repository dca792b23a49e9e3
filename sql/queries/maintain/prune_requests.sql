-- Delete requests without any change.
SELECT pubsubpull_prune_requests(to_timestamp({before}), {at_most})
