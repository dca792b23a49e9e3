-- Return the time, in unix seconds.
SELECT extract(epoch FROM clock_timestamp())::double precision
