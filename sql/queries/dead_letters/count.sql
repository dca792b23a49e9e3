-- Return how many dead letters a subscription has.
SELECT count(*) FROM pubsubpull_failure WHERE subscription_id = {id}
