-- Return a column's value in the log's form.
pubsubpull_as_logged(CAST({value} AS {type}))