-- Each change that was applied at billing, as often as it was, and when that was committed, in unix seconds.
SELECT unnest(versions), extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM billing_arrival
