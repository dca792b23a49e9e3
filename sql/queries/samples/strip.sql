-- Delete the details of samples older than some seconds: they are the larger part of a sample.
UPDATE pubsubpull_sample
SET details = NULL
WHERE details IS NOT NULL AND at < clock_timestamp() - make_interval(secs => {detailed})
