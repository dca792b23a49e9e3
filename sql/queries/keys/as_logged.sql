-- A value as its column's type has it, and the log then.
pubsubpull_as_logged(CAST({value} AS {type}))