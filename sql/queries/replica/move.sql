-- Moves replicas to the cursor after the page that has been applied.
SELECT pubsubpull_move_replicas({names}, {cursor})
