-- Return each application of a change at billing, with the time of its commit in unix seconds.
SELECT unnest(versions), extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM billing_arrival
