-- Close the circuit of a host: delete its failures.
DELETE FROM pubsubpull_host WHERE host = {host}
