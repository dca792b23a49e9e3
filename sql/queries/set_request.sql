-- Names the request to the capture functions, until the transaction ends.
SELECT set_config('pubsubpull.request', {request}, true)
