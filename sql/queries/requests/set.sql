-- Name the request to the capture functions, until the transaction ends.
SELECT pg_catalog.set_config('pubsubpull.request', {request}, true)
