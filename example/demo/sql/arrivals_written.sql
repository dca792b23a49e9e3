-- Each change that was applied at billing, as often as it was, and when, in unix seconds; where commits' times are not kept.
SELECT unnest(versions), extract(epoch FROM at)::float8 FROM billing_arrival
