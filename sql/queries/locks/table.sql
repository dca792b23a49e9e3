-- Lock a table, and with it its partitions, until the transaction ends.
LOCK TABLE {table} IN {mode} MODE
