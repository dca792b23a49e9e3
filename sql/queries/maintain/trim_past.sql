-- Delete the oldest imported changes.
SELECT pubsubpull_trim_past(to_timestamp({before}), {at_most})
