-- Remove the worker from the list.
DELETE FROM pubsubpull_worker WHERE id = {worker}
