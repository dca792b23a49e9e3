-- Return each application of a change at billing, with its time in unix seconds, for a server
-- without commit timestamps.
SELECT unnest(versions), extract(epoch FROM at)::float8 FROM billing_arrival
