-- Close the requests of changes that are about to be sealed.
SELECT pubsubpull_close_requests({ids}::bigint[])
