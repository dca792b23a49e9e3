-- How many changes of a subscription are set aside.
SELECT count(*) FROM pubsubpull_failure WHERE subscription_id = {id}
