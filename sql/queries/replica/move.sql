-- Move replicas to the cursor after the applied page.
SELECT pubsubpull_move_replicas({names}, {cursor})
