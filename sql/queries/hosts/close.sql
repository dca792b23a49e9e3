-- Closes the circuit of a host: forgets its failures.
DELETE FROM pubsubpull_host WHERE host = {host}
