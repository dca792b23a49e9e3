-- Takes the worker off the list.
DELETE FROM pubsubpull_worker WHERE id = {worker}
