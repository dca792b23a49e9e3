-- Forgets that a host was sick.
DELETE FROM pubsubpull_host WHERE host = {host}
